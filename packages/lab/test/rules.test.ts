import { describe, expect, it } from 'vitest'
import { closure } from '../src/apt.js'
import { parsePackets, parseRules } from '../src/rules.js'

describe('parseRules', () => {
  // The rules of miniupnpd 2.3.1 as nft 1.0.6 prints them.
  const nat = `table inet router {
	chain prerouting_miniupnpd {
		iif "wan" @nh,72,8 0x6 th dport 4000 dnat ip to 192.168.1.2:4001
		iif "wan" @nh,72,8 17 th dport 4000 dnat ip to 192.168.1.3:4000
	}
}`
  const filter = `table inet router {
	chain miniupnpd {
		iif "wan" th dport 4001 @nh,128,32 0xc0a80102 @nh,72,8 0x6 accept
		iif "wan" th dport 4005 @nh,192,128 0x2a000001000000000000000000000002 @nh,48,8 0x11 accept
	}
}`

  it('parseRules reads IPv4 mappings and IPv6 pinholes from raw header expressions', () => {
    expect(parseRules(nat, filter)).toEqual([
      { family: 4, protocol: 'tcp', externalPort: 4000, internalAddress: '192.168.1.2', internalPort: 4001 },
      { family: 4, protocol: 'udp', externalPort: 4000, internalAddress: '192.168.1.3', internalPort: 4000 },
      { family: 6, protocol: 'udp', externalPort: 4005, internalAddress: '2a00:1::2', internalPort: 4005 }
    ])
  })

  it('parseRules reads rules with named fields', () => {
    const spelled = 'iif "wan" ip protocol tcp th dport 80 dnat to 10.0.0.2:8080'
    expect(parseRules(spelled, 'iif "wan" th dport 81 ip6 daddr 2a00::1 ip6 nexthdr udp accept')).toEqual([
      { family: 4, protocol: 'tcp', externalPort: 80, internalAddress: '10.0.0.2', internalPort: 8080 },
      { family: 6, protocol: 'udp', externalPort: 81, internalAddress: '2a00::1', internalPort: 81 }
    ])
  })

  it('parseRules returns no rules for empty chains', () => {
    expect(parseRules('chain prerouting_miniupnpd {\n}', 'chain miniupnpd {\n}')).toEqual([])
  })
})

it('parsePackets returns the packets by service', () => {
  const counter = (name: string, packets: number): string =>
    `\tcounter ${name} {\n\t\tpackets ${packets} bytes 9\n\t}\n`
  const text = `table inet count {\n${counter('natpmp', 3)}${counter('ssdp', 1)}${counter('control', 33)}}`
  expect(parsePackets(text)).toEqual({ natPmpAndPcp: 3, ssdp: 1, control: 33 })
})

it('closure returns packages with their libraries, without those for installation only', () => {
  const graph = `iproute2
 |Depends: debconf
  Depends: <debconf-2.0>
  Depends: libbpf1
  Depends: libc6
  Depends: libcap2-bin
debconf
  Depends: libtext1
libbpf1
  Depends: libc6
  Depends: libelf1
libelf1
  Depends: zlib1g
`
  expect(closure(['iproute2'], graph)).toEqual(['iproute2', 'libbpf1', 'libelf1'])
})
