import {
  abortReason,
  type CallOptions,
  type Clock,
  errorText,
  isNatError,
  type NatError,
  natError,
  within
} from '@postern/interface'
import { nodeNet } from '../async/builtins.js'
import { addHandle } from '../async/handles.js'

/** The external address and port of a forward. */
export interface External {
  readonly address: string
  readonly port: number
}

/** The connections that this host opens to an external port to see whether they arrive here. */
export interface Trials {
  /** Connects to the external port, and resolves when that connection has arrived here. */
  run(external: External, call: CallOptions): Promise<void>
  /** Whether an arriving connection may be one of a trial, so that its first bytes have to be seen. */
  readonly areRunning: () => boolean
  /** Aborts when no trial runs any more. */
  readonly ended: () => AbortSignal
  /** Whether these first bytes decide if a connection is one of a trial. */
  isDecided(bytes: Buffer): boolean
  /** Takes an arrived connection with these first bytes as that of a trial. Returns whether it is one. */
  take(bytes: Buffer): boolean
  /** Fails all trials. */
  close(): void
}

/** How long a connection may take to arrive, in milliseconds. */
const arrivalMs = 10_000
/** How long an accepted connection may take to arrive at least, in milliseconds. It takes about two and a half round trips. */
const minForwardMs = 4000
const maxForwardRoundTrips = 6
/** How long a trial that has failed is remembered, in milliseconds: its connection may arrive late, and the application
 * must not get it. */
const lateMs = 2000

const trialOver = abortReason('the trial is over')
const tokenBytes = 32

/** Creates the trials of a carrier. */
export function createTrials(clock: Clock): Trials {
  const waiting = new Map<Buffer, () => void>()
  const closing = new AbortController()
  let end = new AbortController()

  function forget(token: Buffer): void {
    waiting.delete(token)
    if (waiting.size > 0) return
    end.abort(trialOver)
    end = new AbortController()
  }

  async function run(external: External, call: CallOptions): Promise<void> {
    call.signal.throwIfAborted()
    closing.signal.throwIfAborted()
    const token = Buffer.from(crypto.getRandomValues(new Uint8Array(tokenBytes)))
    const arrived = new Promise<void>((resolve) => waiting.set(token, resolve))
    const late = (): Error =>
      natError('NO_REPLY', `no connection to ${inWords(external)} arrived here within ${arrivalMs / 1000} s`)
    try {
      await within(clock, arrivalMs, call, late, (limited) =>
        dial(external, token, arrived, clock, limited, closing.signal)
      )
      forget(token)
    } catch (error) {
      if (closing.signal.aborted || isRefusal(error)) forget(token)
      else {
        waiting.set(token, () => undefined)
        clock.sleep(lateMs, closing).then(
          () => forget(token),
          () => forget(token)
        )
      }
      throw error
    }
  }

  return {
    run,
    areRunning: () => waiting.size > 0,
    ended: () => end.signal,
    isDecided: (bytes) =>
      bytes.length >= tokenBytes ||
      (bytes.length > 0 && [...waiting.keys()].every((token) => !token.subarray(0, bytes.length).equals(bytes))),
    take(bytes) {
      for (const [token, arrive] of waiting) {
        if (!token.equals(bytes)) continue
        arrive()
        return true
      }
      return false
    },
    close() {
      closing.abort(natError('UNREACHABLE', 'the forward has ended'))
      end.abort(trialOver)
    }
  }
}

/** Whether the failed connection cannot arrive any more. */
const isRefusal = (error: unknown): boolean => isNatError(error) && ['REFUSED', 'UNREACHABLE'].includes(error.code)

const inWords = ({ address, port }: External): string => `port ${port} of ${address}`

/** Connects, sends the token, and waits for its arrival. */
function dial(
  external: External,
  token: Buffer,
  arrived: Promise<void>,
  clock: Clock,
  { signal }: CallOptions,
  closed: AbortSignal
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isConnected = false
    const beganMs = clock.monotonicMs()
    const socket = nodeNet().connect({ host: external.address, port: external.port })
    const fail = (error: unknown): void => {
      reject(error)
      socket.destroy()
    }
    const elsewhere = (): void =>
      fail(natError('GRANT_INVALID', `${inWords(external)} leads to another program: a connection did not arrive here`))
    const aborted = (): void => fail(signal.reason)
    const ended = (): void => fail(closed.reason)

    const over = new AbortController()
    signal.addEventListener('abort', aborted, { once: true })
    closed.addEventListener('abort', ended, { once: true })
    socket.once('close', addHandle(socket)).once('close', () => {
      over.abort(trialOver)
      signal.removeEventListener('abort', aborted)
      closed.removeEventListener('abort', ended)
    })
    socket.on('connect', () => {
      isConnected = true
      socket.write(token)
      // A program that has the port may well be silent.
      const limitMs = Math.max(minForwardMs, maxForwardRoundTrips * (clock.monotonicMs() - beganMs))
      clock.sleep(limitMs, { signal: over.signal }).then(elsewhere, () => undefined)
    })
    // The connection is not answered before it has arrived, so bytes or an end come from another program.
    socket.once('data', elsewhere).once('end', elsewhere)
    socket.on('error', (error) => {
      // A connection that was accepted and reset at once may fail without `connect`.
      if (isConnected || codeOf(error) === 'ECONNRESET') elsewhere()
      else fail(dialError(error, external))
    })
    void arrived.then(() => {
      resolve()
      socket.destroy()
    })
    if (signal.aborted) aborted()
    if (closed.aborted) ended()
  })
}

const codeOf = (error: Error): unknown => ('code' in error ? error.code : undefined)

function dialError(cause: Error, external: External): NatError {
  const code = codeOf(cause)
  const where = inWords(external)
  if (code === 'ECONNREFUSED') return natError('REFUSED', `${where} refuses connections`, { cause })
  if (code === 'ETIMEDOUT') return natError('NO_REPLY', `${where} does not answer`, { cause })
  return natError('UNREACHABLE', `${where} cannot be reached from here: ${errorText(cause)}`, { cause })
}
