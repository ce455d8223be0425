import {
  type Ability,
  type Finding,
  type Mapper,
  type MapRequest,
  type NatError,
  type Network,
  type Notice,
  natError
} from '@postern/interface'
import { createGateway, type FakeGateway, type GatewayOptions, memoryNetwork, virtualClock } from '@postern/testkit'
import { type PcpOptions, pcp } from '../src/index.js'

/** Returns the bytes of a hexadecimal text; ignores white space. */
export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
export const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')

export const key: Uint8Array = hex('0102030405060708090a0b0c 0d0e0f10')
export const globalAddress = '2a00:1::10'

interface Home {
  readonly options?: PcpOptions
  readonly gateway?: GatewayOptions
  readonly network?: Partial<Network>
  /** The address of the gateway; with null there is no gateway at the next hop. */
  readonly at?: string | null
  /** Whether another program owns the announcement port. */
  readonly refuseMulticast?: boolean
}

const routes = {
  '192.168.1.1': { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.10' },
  'fe80::1%eth0': { address: 'fe80::1%eth0', interface: 'eth0', localAddress: globalAddress }
}

/** A host at 192.168.1.10 and 2a00:1::10 behind a fake gateway, with a running strategy. */
export function home(setting: Home = {}) {
  const { options = {}, gateway: gatewayOptions = {}, network: other = {}, at = '192.168.1.1' } = setting
  const clock = virtualClock()
  const link = memoryNetwork({ clock, random: () => 0.5 })
  const gateway: FakeGateway = createGateway({ clock, random: () => 0.5, protocols: ['pcp'], ...gatewayOptions })
  let detach: () => void = () => undefined
  const attach = (): void => {
    detach = link.attach(gateway, at ?? '192.168.1.1')
  }
  if (at !== null) attach()
  const host = link.host('192.168.1.10', globalAddress)
  /** Every datagram that the strategy sends. */
  const sent: Uint8Array[] = []
  const openUdp: NonNullable<PcpOptions['openUdp']> = async (udp, call) => {
    if (setting.refuseMulticast === true && udp.multicast !== undefined) throw natError('PORT_TAKEN', 'taken')
    const socket = await host.openUdp(udp, call)
    return {
      ...socket,
      send(bytes, to) {
        sent.push(bytes.slice())
        socket.send(bytes, to)
      }
    }
  }
  const stop = new AbortController()
  const findings: Finding[] = []
  const route = routes[at === 'fe80::1%eth0' ? at : '192.168.1.1']
  const network: Network = { gateways: [route], addresses: ['192.168.1.10', globalAddress], ...other }
  const log = { debug: () => undefined, info: () => undefined }
  const discovery = pcp({ openUdp, ...options })({ clock, random: () => 0.5, log })
  const discovered = discovery.discover(network, (finding) => findings.push(finding), { signal: stop.signal })
  discovered.catch(() => undefined)

  const mappers = (): readonly Mapper[] => findings.filter((each) => each.kind === 'mapper')
  return {
    clock,
    link,
    host,
    gateway,
    attach,
    detach: () => detach(),
    sent,
    discovery,
    discovered,
    findings,
    notices: () =>
      findings
        .filter((each): each is Notice => each.kind === 'notice')
        .map((each) => (each.what === 'absent' ? `absent ${each.reason.code}` : each.what)),
    about: (): readonly Ability[] => findings.flatMap((each) => ('about' in each ? [each.about] : [])),
    mappers,
    /** Lets the strategy find the gateway. */
    async mapper(): Promise<Mapper> {
      await clock.advance(0)
      const [found] = mappers()
      if (found === undefined) throw new Error('no mapper was found')
      return found
    },
    async stop() {
      stop.abort(new Error('stopped'))
      await clock.advance(0)
      await discovered
    },
    signal: stop.signal,
    /** Awaits a call while the clock advances by `ms`. */
    async run<T>(verb: Promise<T>, ms = 0): Promise<T> {
      verb.catch(() => undefined)
      await clock.advance(ms)
      return verb
    },
    async fails(verb: Promise<unknown>, ms = 0): Promise<NatError> {
      const outcome = verb.then(
        () => undefined,
        (error: NatError) => error
      )
      await clock.advance(ms)
      const error = await outcome
      if (error === undefined) throw new Error('it did not fail')
      return error
    }
  }
}

export const never: { readonly signal: AbortSignal } = { signal: new AbortController().signal }

export const request = (change: Partial<MapRequest> = {}): MapRequest => ({
  endpoint: { protocol: 'tcp', family: 4, address: '192.168.1.10', port: 8080 },
  suggestedExternalPort: 9000,
  lifetimeMs: 7_200_000,
  key,
  ...change
})

export const request6 = (): MapRequest =>
  request({ endpoint: { protocol: 'tcp', family: 6, address: globalAddress, port: 8080 } })
