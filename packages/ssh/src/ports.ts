import {
  type CallOptions,
  type Clock,
  type Endpoint,
  type ForwardRequest,
  isNatError,
  type NatError,
  natError
} from '@postern/interface'
import type { Carrier } from '@postern/net'
import { placeOf } from './errors.js'
import type { Settings } from './options.js'
import type { Session } from './session.js'
import { wakePort } from './wake-port.js'

/** Which port of the other host belongs to which endpoint. */
export interface Ports {
  /** Takes a port for the endpoint: the one that it had, or the wanted one, or another one if that may be. Rejects with
   * `CONFLICT`. */
  take(session: Session, carrier: Carrier, request: ForwardRequest, call: CallOptions): Promise<number>
  /** Whether another port than the wanted one may be taken for an endpoint. */
  mayTakeOther(endpoint: Endpoint): boolean
  /** Returns the port that was asked for first; undefined for an endpoint that was never forwarded. */
  wantedOf(endpoint: Endpoint): number | undefined
  /** Remembers the port that an endpoint has got. */
  remember(endpoint: Endpoint, port: number): void
}

/** An earlier session of this host may still hold the port, and its end may be noticed in a moment. */
const patience = { stepMs: 500, tries: 7 } as const

const keyOf = ({ address, port }: Endpoint): string => `${address} ${port}`

/** Creates the memory of ports of one strategy. */
export function createPorts(settings: Settings, clock: Clock): Ports {
  const { externalPort, allowOtherPort } = settings
  const wanted = new Map<string, number>()
  const granted = new Map<string, number>()

  /** Asks for one port until the other host opens it, for a few seconds. */
  async function insist(session: Session, carrier: Carrier, port: number, call: CallOptions): Promise<number> {
    // A port that another endpoint has in this session does not become free.
    const tries = session.listensOn(port) ? 1 : patience.tries
    for (let made = 1; ; made += 1) {
      try {
        return await session.listen(port, carrier.carry, call)
      } catch (error) {
        if (!isConflict(error)) throw error
        if (made >= tries) throw taken(settings, port, error)
        // A port that was never granted belongs to another program, which this must not disturb.
        const isOurs = [...granted.values()].includes(port)
        if (made === 1 && isOurs) await wakePort({ host: session.serverAddress, port }, clock, call)
      }
      await clock.sleep(patience.stepMs, call)
    }
  }

  const mayTakeOther = (endpoint: Endpoint): boolean =>
    allowOtherPort || (externalPort === undefined && !granted.has(keyOf(endpoint)))

  return {
    mayTakeOther,
    async take(session, carrier, { endpoint, suggestedExternalPort }, call) {
      const key = keyOf(endpoint)
      const wish = externalPort ?? wanted.get(key) ?? suggestedExternalPort
      wanted.set(key, wish)
      const last = granted.get(key)
      const first = last ?? wish
      try {
        return await insist(session, carrier, first, call)
      } catch (error) {
        if (!mayTakeOther(endpoint) || !isConflict(error)) throw error
        if (wish !== first) {
          try {
            return await session.listen(wish, carrier.carry, call)
          } catch (second) {
            if (!isConflict(second)) throw second
          }
        }
        try {
          return await session.listen(0, carrier.carry, call)
        } catch (third) {
          throw isConflict(third) ? error : third
        }
      }
    },
    wantedOf: (endpoint) => wanted.get(keyOf(endpoint)),
    remember: (endpoint, port) => void granted.set(keyOf(endpoint), port)
  }
}

const isConflict = (error: unknown): error is NatError => isNatError(error) && error.code === 'CONFLICT'

/** SSH has no reason for a refusal, so the message names those that are usual. */
function taken(settings: Settings, port: number, cause: NatError): NatError {
  const low = port < 1024 ? 'only root may open ports below 1024 there; ' : ''
  return natError(
    'CONFLICT',
    `${placeOf(settings)} does not open port ${port}: ${low}another program or an earlier session may hold it, or sshd does ` +
      'not allow it (AllowTcpForwarding, PermitListen). `ClientAliveInterval 15` in /etc/ssh/sshd_config there ends lost ' +
      'sessions within a minute',
    { cause }
  )
}
