import {
  type CallOptions,
  type Finding,
  type Gateway,
  type Host,
  isNatError,
  type Mapper,
  type NatError,
  natError,
  untilAborted
} from '@postern/interface'
import { askBeyond, openBeyond } from '@postern/net'
import { createClient } from '../device/client.js'
import type { Device } from '../device/device.js'
import { createPortMapper } from '../mapping/port-mapping.js'
import type { Settings } from '../settings.js'
import { seekDevice } from '../ssdp/find-device.js'
import { decodeSsdp, encodeSearch, igd1 } from '../ssdp/message.js'
import { hasRestarted } from './news.js'

/** The maximum number of search rounds once the router has answered. */
const maxRounds = 2

/** The options of {@link watchBeyond}. */
export interface WatchBeyondOptions {
  readonly host: Host
  readonly settings: Settings
  readonly gateway: Gateway
  readonly found: (finding: Finding) => void
}

/**
 * Finds the device of a router that may be behind the next hop, by unicast searches, and offers it for IPv4 ports until
 * the signal aborts or the device is lost. Hears no announcements: they do not pass the next hop.
 *
 * The action calls use TCP, and no program can set a time to live for it. They go only to an address that has answered a
 * datagram with a time to live of 2.
 */
export async function watchBeyond(options: WatchBeyondOptions, { signal }: CallOptions): Promise<void> {
  const { host, gateway, found } = options
  const tell = (finding: Finding): void => {
    if (!signal.aborted) found(finding)
  }
  try {
    // A router maps only to the address that asks, and its list names that address.
    if (gateway.through?.clientAddress === undefined)
      throw natError('ADDRESS_MISMATCH', 'the next hop does not tell its external address')
    const { ssdpPort, openUdp: open } = options.settings
    const bytes = encodeSearch(igd1, `${gateway.address}:${ssdpPort}`)
    await askBeyond({ gateway, port: ssdpPort, bytes, match: acceptAnswer, clock: host.clock, open }, { signal })
    await offerDevice(options, tell, { signal })
  } catch (error) {
    if (signal.aborted) return
    if (!isNatError(error)) throw error
    tell({ kind: 'notice', what: 'absent', gateway, reason: error })
  }
}

/** Offers the device of the router until the signal aborts or the device is lost. */
async function offerDevice(
  { host, settings: given, gateway }: WatchBeyondOptions,
  tell: (finding: Finding) => void,
  { signal }: CallOptions
): Promise<void> {
  const settings: Settings = { ...given, openUdp: openBeyond(given.openUdp) }
  const web = { clock: host.clock, exchangeHttp: settings.exchangeHttp, ...settings.lineOf(gateway.address) }
  const { promise: gone, resolve: lose } = Promise.withResolvers<void>()
  let reason: NatError | undefined
  const seek = async (call: CallOptions): Promise<Device> => {
    const isSought = (device: Device): boolean => device.reason === undefined
    const absent = (why: NatError): void => void (reason = why)
    try {
      return await seekDevice({ host, settings, gateway, rounds: maxRounds, absent, isSought }, call).device
    } catch (error) {
      throw call.signal.aborted ? error : (reason ?? error)
    }
  }
  const notice = (what: 'restarted' | 'address-changed' | 'gone'): void => tell({ kind: 'notice', what, about: mapper })
  const client = createClient({
    localAddress: gateway.localAddress,
    web,
    device: await seek({ signal }),
    async lookAgain(call) {
      try {
        const again = await seek(call)
        // A device that moved has restarted, and may have lost its mappings.
        if (hasRestarted(again, client.device)) notice('restarted')
        return again
      } catch (error) {
        if (isNatError(error)) lose()
        throw error
      }
    }
  })
  const { description } = settings
  const forgot = (): void => notice('restarted')
  const addressChanged = (): void => notice('address-changed')
  const mapper: Mapper = createPortMapper(gateway, { client, host, description, addressChanged, forgot })
  tell(mapper)
  await Promise.race([gone, untilAborted(signal)])
  notice('gone')
}

function acceptAnswer(bytes: Uint8Array): true | undefined {
  return decodeSsdp(bytes)?.kind === 'answer' ? true : undefined
}
