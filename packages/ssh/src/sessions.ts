import { abortReason, type CallOptions, type Host, orAborted } from '@postern/interface'
import { type Memory, openSession } from './log-in.js'
import type { Settings } from './options.js'
import type { Session } from './session.js'

/** The one session of a strategy, which all its leases share. */
export interface Sessions {
  /** Resolves with the session, which is opened if there is none. It stays open until `done` was called by each user. */
  use(call: CallOptions): Promise<{ readonly session: Session; done(): void }>
  /** Keeps an unused session for a while: the next request comes soon, and a login less spares the server. */
  linger(): void
  /** Lets the session end as soon as it is unused, and discards one that was lost in silence, at the end of the discovery. */
  stop(): void
  /** The addresses of the other host, in the order in which they are tried. */
  addresses: readonly string[]
}

/** A login that has not succeeded yet. */
interface Opening {
  readonly session: Promise<Session>
  abort(): void
}

/** How long an unused session is kept after a conflict, in milliseconds. Callers come back within 5 s. */
const lingerMs = 6000

const unused = abortReason('the session is not needed any more')

/** Creates the keeper of the session. It opens nothing before it is used. */
export function createSessions(settings: Settings, host: Pick<Host, 'clock' | 'log'>): Sessions {
  const memory: Memory = { password: undefined, key: undefined }
  let users = 0
  let current: Session | undefined
  let opening: Opening | undefined
  let lingering: AbortController | undefined

  function open(): Promise<Session> {
    if (current !== undefined && !current.ended.aborted) return Promise.resolve(current)
    if (opening !== undefined) return opening.session
    const controller = new AbortController()
    const work = async (): Promise<Session> => {
      try {
        const session = await openSession(settings, sessions.addresses, memory, host, controller)
        // Aborted in the same moment: another one may be opening in its place.
        if (controller.signal.aborted) {
          session.close()
          throw unused
        }
        // The one before was lost, and may hold the ports that are wanted now.
        current?.discard()
        current = session
        // The last user may have gone in the same moment.
        if (users === 0) closeUnused()
        return session
      } catch (error) {
        if (!controller.signal.aborted) void lookUpAgain()
        throw error
      } finally {
        if (opening === mine) opening = undefined
      }
    }
    const session = work()
    session.catch(() => undefined)
    const mine: Opening = { session, abort: () => controller.abort(unused) }
    opening = mine
    return session
  }

  /** The name of the other host may have got another address, which the next attempt uses. */
  async function lookUpAgain(): Promise<void> {
    try {
      const found = await settings.lookup(settings.host)
      if (found.length > 0) sessions.addresses = found
    } catch {
      host.log.debug(`ssh: ${settings.host} is not resolved at present, its last addresses are used`)
    }
  }

  function closeUnused(): void {
    if (users > 0 || lingering !== undefined) return
    opening?.abort()
    // The next user must not wait for the one that was aborted.
    opening = undefined
    current?.close()
  }

  const sessions: Sessions = {
    addresses: [],
    async use(call) {
      call.signal.throwIfAborted()
      users += 1
      let isDone = false
      const done = (): void => {
        if (isDone) return
        isDone = true
        users -= 1
        closeUnused()
      }
      try {
        const session = await orAborted(open(), call)
        return { session, done }
      } catch (error) {
        done()
        throw error
      }
    },
    linger() {
      lingering?.abort(unused)
      const controller = new AbortController()
      lingering = controller
      const end = (): void => {
        if (lingering !== controller) return
        lingering = undefined
        closeUnused()
      }
      host.clock.sleep(lingerMs, controller).then(end, end)
    },
    stop() {
      lingering?.abort(unused)
      // No login will discard it.
      current?.discard()
    }
  }
  return sessions
}
