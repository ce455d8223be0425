import {
  type Ability,
  type CallOptions,
  type Lease,
  natError,
  type Observation,
  type RemoteParty,
  type SharedUdpSocket,
  type Strategy
} from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import type { AbilityKind, Subject, World } from '../../src/index.js'

/** A remote party that answers after 20 ms, or not at all. */
interface Desk {
  ask(call: CallOptions): Promise<void>
}

interface DeskWorld extends World {
  readonly desk: Desk
}

type Kind = Exclude<AbilityKind, 'mapper' | 'forwarder'>
type Change = (ability: Ability, desk: Desk) => Ability

const party: RemoteParty = { id: 'party', network: '1.2.0.0/16', rttMs: 20 }
const never = { signal: new AbortController().signal }
const endpoint = { protocol: 'udp', family: 4, address: '192.168.1.10', port: 8080 } as const
const tap: SharedUdpSocket = { endpoint, send: () => undefined, receive: () => undefined }

function leaseOf(desk: Desk): Lease {
  return {
    addresses: ['/ip4/1.2.3.4/tcp/4001/p2p/relay/p2p-circuit'],
    lifetimeMs: 3_600_000,
    async renew(call) {
      await desk.ask(call)
      return leaseOf(desk)
    },
    release: (call) => desk.ask(call)
  }
}

function abilityOf(kind: Kind, desk: Desk): Ability {
  const after = async <T>(call: CallOptions, value: T): Promise<T> => {
    await desk.ask(call)
    return value
  }
  if (kind === 'relay') return { kind, party, reserve: (call) => after(call, leaseOf(desk)) }
  if (kind === 'witness') return { kind, party, verify: (_, call) => after(call, { outcome: 'reachable' }) }
  if (kind === 'observer') return { kind, party, observe: (_, call) => after(call, { address: '/ip4/1.2.3.4/udp/9' }) }
  return { kind, upgrade: (_, call) => after(call, '/ip4/1.2.3.4/udp/9/quic-v1') }
}

/** Returns the subject of a strategy that finds one ability of a kind, which is honest unless changed. */
export function partySubject(kind: Kind, change: Change = (ability) => ability): Subject<DeskWorld> {
  const strategy =
    (desk: Desk): Strategy =>
    () => ({
      name: kind,
      kind,
      async discover(_network, found, { signal }) {
        if (!signal.aborted) found(change(abilityOf(kind, desk), desk))
      }
    })
  return {
    create: ({ desk }) => strategy(desk),
    world() {
      const clock = virtualClock()
      let requests = 0
      let mood: 'normal' | 'silent' | 'refusing' = 'normal'
      const desk: Desk = {
        async ask({ signal }) {
          signal.throwIfAborted()
          requests += 1
          await clock.sleep(mood === 'silent' ? 86_400_000 : 20, { signal })
          if (mood === 'refusing') throw natError('REFUSED', 'go away')
        }
      }
      return {
        clock,
        desk,
        network: { gateways: [], addresses: ['192.168.1.10'] },
        requests: () => requests,
        changes: () => requests,
        address: '/ip4/1.2.3.4/tcp/8080',
        tap,
        peerId: 'peer',
        faults: {
          silence() {
            mood = 'silent'
          },
          refuse() {
            mood = 'refusing'
          }
        }
      }
    }
  }
}

export interface BrokenParty {
  readonly name: string
  readonly breaks: string
  readonly subject: Subject<DeskWorld>
}

/** Relays, witnesses, observers and punchers that break one rule each. */
export const brokenParties: readonly BrokenParty[] = [
  {
    name: 'relay with an address instead of a network',
    breaks: 'party-is-well-formed',
    subject: partySubject('relay', (ability) =>
      ability.kind === 'relay' ? { ...ability, party: { ...party, network: '1.2.3.4' } } : ability
    )
  },
  {
    name: 'witness that sends a request with an aborted signal',
    breaks: 'verb-aborted-before-rejects',
    subject: partySubject('witness', (ability, desk) =>
      ability.kind === 'witness'
        ? {
            ...ability,
            verify(address, call) {
              if (call.signal.aborted) desk.ask(never).catch(() => undefined)
              return ability.verify(address, call)
            }
          }
        : ability
    )
  },
  {
    name: 'observer that ignores an abort',
    breaks: 'verb-abort-rejects',
    subject: partySubject('observer', (ability) =>
      ability.kind === 'observer'
        ? {
            ...ability,
            async observe(lent, { signal }) {
              signal.throwIfAborted()
              return ability.observe(lent, never)
            }
          }
        : ability
    )
  },
  {
    name: 'puncher that rejects without a known code',
    breaks: 'verb-rejects-with-nat-error',
    subject: partySubject('puncher', (ability) =>
      ability.kind === 'puncher'
        ? {
            ...ability,
            upgrade: (peerId, call) =>
              ability.upgrade(peerId, call).catch((error: unknown) => {
                throw call.signal.aborted ? error : new Error('no')
              })
          }
        : ability
    )
  },
  {
    name: 'witness that gives a reason without a known code',
    breaks: 'verify-gives-evidence',
    subject: partySubject('witness', (ability) =>
      ability.kind === 'witness'
        ? {
            ...ability,
            async verify(address, call) {
              await ability.verify(address, call)
              return { outcome: 'inconclusive', reason: Object.assign(new Error('no'), { code: 'EHOSTUNREACH' }) }
            }
          }
        : ability
    )
  },
  {
    name: 'observer that reports a host and a port as the address',
    breaks: 'observe-gives-an-observation',
    subject: partySubject('observer', (ability) =>
      ability.kind === 'observer'
        ? {
            ...ability,
            observe: async (lent, call) => ({ ...(await ability.observe(lent, call)), address: '/1.2.3.4:9' })
          }
        : ability
    )
  },
  {
    name: 'observer that uses an unknown word for a symmetric NAT',
    breaks: 'observe-gives-an-observation',
    subject: partySubject('observer', (ability) =>
      ability.kind === 'observer'
        ? {
            ...ability,
            observe: async (lent, call) => {
              const said: Record<string, unknown> = { ...(await ability.observe(lent, call)), mapping: 'symmetric' }
              return said as unknown as Observation
            }
          }
        : ability
    )
  },
  {
    name: 'puncher that resolves without an address',
    breaks: 'upgrade-gives-an-address',
    subject: partySubject('puncher', (ability) =>
      ability.kind === 'puncher'
        ? {
            ...ability,
            async upgrade(peerId, call) {
              await ability.upgrade(peerId, call)
              return '/'
            }
          }
        : ability
    )
  }
]
