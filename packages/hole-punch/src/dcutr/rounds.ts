import type { Connection, Stream } from '@libp2p/interface'
import { anySignal, type CallOptions, isNatError, type NatError, natError, within } from '@postern/interface'
import type { Context } from '../context.js'
import { targetsOf } from '../dial/targets.js'
import type { Pair } from '../dial/tcp-dial.js'
import { cannotMeetOverTcp, type Mapping } from '../nat/mapping.js'
import { manyPlaces, manyPorts, pairsOf } from '../nat/port-pairs.js'
import type { PunchPort } from '../nat/punch-ports.js'
import { answerRound, type Offer, offerRound, type Told } from './exchange.js'
import { createSupply } from './port-supply.js'
import { punchRound, type Round } from './round.js'

/** Callbacks for the progress of the rounds. */
export interface Watcher {
  /** Called when the two sides begin an exchange. */
  began(): void
  /** Called with what the other side has sent in this round. */
  heard(told: Told): void
}

/** Time limit of a round (ms). A lost SYN is sent again after one and three seconds (RFC 6298); both fit into it. */
const roundMs = 4000
/** How long a client listens for a peer that also acts as the client (ms). */
const clientListensMs = 200
/** How long a server listens (ms), in addition to two round trips. It is longer than for a client. */
const serverListensMs = 1000
/** Maximum dials of one pair. Between routers without delay, the median was 20 dials and the maximum 186. */
const maxDials = 200
/** How long the side that dialled waits for the other side to begin, and to begin again after a round (ms). */
const patienceMs = 15_000
const againMs = 6000

/** Begins the rounds; for the side that received the relayed connection. Resolves with the direct connection, or with
 * the error of each round. Rejects only with the signal's reason. */
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
        // SYNC takes this long to reach the other side.
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
 * Answers the rounds; for the side that dialled the relayed connection. The other side opens a stream for each round.
 * Resolves with the direct connection, or with the error of each round. Rejects only with the signal's reason.
 *
 * @param patience - ends the wait for the first round
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
        // If the other side was refused sooner, it begins the next round, which ends this one for both.
        coming = within(clock, roundMs + againMs, waiting, late, next)
        coming.then(
          () => over.abort(natError('REFUSED', 'the other side has given up this round')),
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
    done.abort(new Error('this side answers no more rounds'))
    coming.then(
      (stream) => stream.abort(new Error('this side answers no more rounds')),
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
  if (target === undefined) throw natError('GRANT_INVALID', 'the peer sent no public address to dial')
  const isWanted = settings.birthday && told.birthday
  const guessing = isWanted ? guesses(context.knowledge.mapping(), told.mapping, ports, target) : undefined
  const pairs = guessing ?? pairsOf(ports, targets)
  return punchRound(
    host,
    settings.connect,
    budget,
    { peer: remotePeer, pairs, ...part, maxDials: guessing === undefined ? maxDials : 1, timeoutMs: roundMs },
    call
  )
}

/** Returns the pairs for guessing; undefined unless exactly one NAT uses a different port for each destination. */
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

/** Returns whether every further round would fail with the same error. */
const isFinal = (error: NatError | undefined): boolean =>
  error !== undefined && ['UNSUPPORTED', 'EXTERNAL_ADDRESS_UNKNOWN', 'QUOTA_EXCEEDED'].includes(error.code)

/**
 * Returns whether further rounds cannot succeed, because a NAT is symmetric and both mappings are known. While one side
 * has not sent its mapping, the next round may bring it.
 */
function isHopeless({ knowledge, settings }: Context, told: Told | undefined): boolean {
  const isGuessing = settings.birthday && told?.birthday === true
  return !isGuessing && cannotMeetOverTcp(knowledge.mapping(), told?.mapping)
}
