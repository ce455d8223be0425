import type { Network } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { nextSteps, withRightGateway } from '../../src/shared/next-steps.js'
import { reportWith as report } from '../support/report.js'

const network: Network = {
  gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }],
  addresses: ['192.168.1.2']
}

describe('the advice of postern doctor', () => {
  it('the advice of doctor only names the router of this machine if another gateway was named', () => {
    const via = 'pcp:192.168.1.77'
    expect(withRightGateway(report(), via, network).advice).toEqual([])
    expect(nextSteps(report(), { command: 'doctor', via, network, port: undefined })).toEqual([
      '192.168.1.77 does not map ports for this machine; its router is 192.168.1.1: postern doctor --via pcp:192.168.1.1'
    ])
  })

  it('the advice of doctor stays as it is if the router itself was named', () => {
    expect(withRightGateway(report(), 'pcp:192.168.1.1', network)).toEqual(report())
  })

  it.each(['carrier-nat', 'double-nat', 'reserved-external-address'] as const)(
    'the advice of doctor ends with a tunnel command if another router is in the way: %s',
    (cause) => {
      const steps = nextSteps(report({ cause }), { command: 'doctor', via: 'any', network, port: undefined })
      expect(steps.at(-1)).toContain('postern tunnel listen 8080 --relay RELAY --allow PEER-ID')
    }
  )

  it('names the command that checks a forward by hand through two routers', () => {
    const situation = { command: 'doctor', via: 'any', network, port: 8081 } as const
    const steps = nextSteps(report({ cause: 'double-nat', verdict: 'private' }), situation)
    expect(steps[0]).toContain('postern doctor --via manual:PUBLIC-ADDRESS:8081')
  })

  it('a port of another host is suggested where the machine cannot be reached, and none was named', () => {
    const situation = { command: 'doctor', via: 'any', network, port: 8081 } as const
    const behind = report({ cause: 'carrier-nat', verdict: 'private' })
    expect(nextSteps(behind, situation)[0]).toContain('postern map 8081 --via any,ssh:USER@HOST')
    expect(nextSteps(behind, { ...situation, via: 'any, ssh:me@vps' }).join()).not.toContain('ssh:USER@HOST')
    expect(nextSteps({ ...behind, verdict: 'relayed' }, situation).join()).not.toContain('ssh:USER@HOST')
  })
})

describe('the commands with witnesses', () => {
  const doctor = { command: 'doctor', via: 'any', network, port: undefined } as const
  const one = 'postern doctor --port 8080 --witness http://203.0.113.9:4003'

  it('nextSteps has a command that asks witnesses if no mapping service answers', () => {
    expect(nextSteps(report(), doctor).join('\n')).toContain('postern doctor --port 8080 --witness URL --witness URL')
  })

  it('nextSteps repeats the witnesses that the user has named', () => {
    const asked = ['--witness http://203.0.113.9:4003']
    expect(nextSteps(report(), { ...doctor, asked }).join('\n')).toContain(one)
    expect(nextSteps(report(), { ...doctor, command: 'map', port: 8080, asked }).join('\n')).toContain(one)
  })

  it('nextSteps has a command that asks witnesses if only the forwarded port is known', () => {
    const forwarded = {
      address: '/ip4/0.0.0.0/tcp/4001',
      type: 'manual',
      strategy: 'manual',
      endpoint: null,
      state: 'claimed',
      expiresAt: null,
      evidence: []
    } as const
    const steps = nextSteps(report({ verdict: 'unknown', cause: 'unverified', candidates: [forwarded] }), {
      ...doctor,
      port: 4001,
      via: 'manual:4001'
    })
    expect(steps.join('\n')).toContain('postern doctor --via manual:4001 --witness URL --witness URL')
  })
})

describe('the advice of postern map', () => {
  const refused = report({ cause: 'gateway-refused' })
  const steps = (port: number, externalPort?: number): string =>
    nextSteps(refused, { command: 'map', via: 'any', network, port, externalPort }).join('\n')

  it('the advice of map has a command without ports below 1024 if the router may have refused one', () => {
    expect(steps(80)).toContain('Once the program listens on port 8080: postern map 8080')
    expect(steps(80, 8080)).toContain('Once the program listens on port 8080: postern map 8080')
    expect(steps(8443, 443)).toContain('With the same port outside: postern map 8443')
    expect(steps(8080)).not.toContain('postern map')
  })
})
