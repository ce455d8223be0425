import type { Connection, Stream } from '@libp2p/interface'
import { anySignal, type CallOptions, isNatError, type NatError, natError } from '@postern/interface'
import { within } from '@postern/net'
import type { Context } from './context.js'
import { answerRound, type Offer, offerRound, type Told } from './exchange.js'
import { type Mapping, passBy } from './mapping.js'
import { manyPlaces, manyPorts, pairsOf } from './pairs.js'
import type { PunchPort } from './ports.js'
import { punchRound, type Round } from './round.js'
import type { Pair } from './sockets.js'
import { createSupply } from './supply.js'
import { targetsOf } from './targets.js'

/** Who wants to know how far the rounds are. */
export interface Watcher {
  /** The two sides begin to agree. */
  began(): void
  /** What the other side has told in this round. */
  heard(told: Told): void
}

/** A SYN that is lost is sent again after one and three seconds (RFC 6298): a round has time for both, in ms. */
const roundMs = 4000
/** A client that cannot be sure to be one listens so long for a server that takes itself for a client, in ms. */
const clientListensMs = 200
/** A server waits longer than that, and the way twice. */
const serverListensMs = 1000
/** Behind routers without any delay between them 20 dials of a pair were the middle, and 186 the most. */
const mostDials = 200
/** How long the side that dialled waits for the other one to begin, in ms, and to begin again after a round. */
const patienceMs = 15_000
const againMs = 6000

/** The side that the relayed connection came to. Resolves with the direct connection, or with what each round
 * failed with. */
export async function beginRounds(
  context: Context,
  relayed: Connection,
  watcher: Watcher,
  call: CallOptions
): Promise<Connection | readonly NatError[]> {
  const { clock } = context.host
  const supply = createSupply(context, relayed, call)
  const errors: NatError[] = []
  let told: Told | undefined
  try {
    for (let round = 1; round <= context.settings.rounds; round++) {
      try {
        const { ports } = await supply.take()
        await context.knowledge.learned(call)
        watcher.began()
        const agreed = await offerRound(relayed, offerOf(context, ports), clock, call)
        told = agreed
        watcher.heard(agreed)
        // SYNC needs as long to the other side.
        await clock.sleep(agreed.rttMs / 2, call)
        const listenMs = serverListensMs + 2 * agreed.rttMs
        return await meet(context, relayed, ports, agreed, { role: 'server', listenMs }, call)
      } catch (error) {
        errors.push(errorOf(error, call))
        if (isFinal(errors.at(-1)) || isHopeless(context, told)) break
      }
    }
    return errors
  } finally {
    supply.end()
  }
}

/**
 * The side that dialled the relayed connection; the other one opens a stream for each round.
 *
 * @param patience - as long as it is waited for the first round
 */
export async function answerRounds(
  context: Context,
  relayed: Connection,
  next: (call: CallOptions) => Promise<Stream>,
  watcher: Watcher,
  patience: AbortSignal,
  call: CallOptions
): Promise<Connection | readonly NatError[]> {
  const { clock } = context.host
  const supply = createSupply(context, relayed, call)
  const errors: NatError[] = []
  let told: Told | undefined
  const late = (): Error => natError('NO_REPLY', 'the other side did not begin')
  const done = new AbortController()
  const waiting = { signal: anySignal([call.signal, done.signal]) }
  const first = { signal: anySignal([waiting.signal, patience]) }
  let coming = within(clock, patienceMs, first, late, next)
  try {
    for (let round = 1; round <= context.settings.rounds; round++) {
      const over = new AbortController()
      const stream = await coming.catch((error: unknown) => {
        if (round > 1 || !patience.aborted) errors.push(errorOf(error, call))
        return undefined
      })
      if (stream === undefined) break
      try {
        watcher.began()
        // Where the other side was refused sooner it begins again, and this round is over for both.
        coming = within(clock, roundMs + againMs, waiting, late, next)
        coming.then(
          () => over.abort(natError('REFUSED', 'the other side has given this round up')),
          () => undefined
        )
        const bounded = { signal: anySignal([call.signal, over.signal]) }
        const taken = supply.take()
        const prepare = async (): Promise<Offer> => {
          const { ports } = await taken
          await context.knowledge.learned(bounded)
          return offerOf(context, ports)
        }
        told = await answerRound(stream, prepare, clock, bounded)
        watcher.heard(told)
        const { ports } = await taken
        const listenMs = round === 1 ? 0 : clientListensMs
        return await meet(context, relayed, ports, told, { role: 'client', listenMs }, bounded)
      } catch (error) {
        errors.push(errorOf(error, call))
        if (isFinal(errors.at(-1)) || isHopeless(context, told)) break
      }
    }
    return errors
  } finally {
    done.abort(new Error('no more rounds are answered'))
    coming.then(
      (stream) => stream.abort(new Error('no more rounds are answered')),
      () => undefined
    )
    supply.end()
  }
}

const offerOf = ({ knowledge, settings }: Context, ports: readonly PunchPort[]): Offer => ({
  ports,
  mapping: knowledge.mapping(),
  birthday: settings.birthday
})

async function meet(
  context: Context,
  { remotePeer }: Connection,
  ports: readonly PunchPort[],
  told: Told,
  part: Pick<Round, 'role' | 'listenMs'>,
  call: CallOptions
): Promise<Connection> {
  const { host, settings, budget, own } = context
  const targets = targetsOf(told.addresses, own())
  const [target] = targets
  if (target === undefined) throw natError('GRANT_INVALID', 'the peer named no public address to meet at')
  const isWanted = settings.birthday && told.birthday
  const guessing = isWanted ? guesses(context.knowledge.mapping(), told.mapping, ports, target) : undefined
  const pairs = guessing ?? pairsOf(ports, targets)
  return punchRound(
    host,
    settings.connect,
    budget,
    { peer: remotePeer, pairs, ...part, mostDials: guessing === undefined ? mostDials : 1, timeoutMs: roundMs },
    call
  )
}

/** Undefined where meeting is better: both NATs keep a port for all destinations, or neither does. */
function guesses(
  own: Mapping | undefined,
  theirs: Mapping | undefined,
  [port]: readonly PunchPort[],
  target: Parameters<typeof manyPorts>[0]
): readonly Pair[] | undefined {
  if (own === 'address-and-port-dependent' && theirs === 'endpoint-independent') return manyPorts(target)
  if (own === 'endpoint-independent' && theirs === 'address-and-port-dependent' && port !== undefined)
    return manyPlaces(port, target)
  return undefined
}

function errorOf(error: unknown, call: CallOptions): NatError {
  call.signal.throwIfAborted()
  return isNatError(error) ? error : natError('NO_REPLY', 'the round failed', { cause: error })
}

/** Another round would meet with the same. */
const isFinal = (error: NatError | undefined): boolean =>
  error !== undefined && ['UNSUPPORTED', 'EXTERNAL_ADDRESS_UNKNOWN', 'QUOTA_EXCEEDED'].includes(error.code)

/** With a NAT that takes another port for each destination the rounds after the first meet nobody, either. As long as one
 * side has not told, the next round will. */
function isHopeless({ knowledge, settings }: Context, told: Told | undefined): boolean {
  const isGuessing = settings.birthday && told?.birthday === true
  return !isGuessing && passBy(knowledge.mapping(), told?.mapping)
}
