import { anySignal, isNatError, natError } from '@postern/interface'
import { type BrokenStrategy, withLease, withMap, withMapper } from './change.js'
import { wishOf } from './reference-mapper.js'

const never = new AbortController().signal

/** Strategies with a faulty `map`. */
export const brokenMaps: readonly BrokenStrategy[] = [
  {
    name: 'declares UDP but does not map it',
    breaks: 'map-grants-declared-protocols',
    strategy: withMap(async (map, _, request, call) => {
      if (request.endpoint.protocol === 'udp') throw natError('UNSUPPORTED', 'UDP is not supported')
      return await map(request, call)
    })
  },
  {
    name: 'grants a mapping without a rule',
    breaks: 'map-makes-a-rule',
    strategy: withMap(async (map, { table }, request, call) => {
      const lease = await map(request, call)
      const hadNone = table.log.filter((text) => text.startsWith('map ')).length === 1
      if (hadNone) await table.unmap(wishOf(request), call)
      return lease
    })
  },
  {
    name: 'uses its own key',
    breaks: 'map-takes-its-mapping-back',
    strategy: withMap((map, { table }, request, call) => {
      const key = request.key.slice()
      // The first mapping shows no fault.
      key[15] = table.log.filter((text) => text.startsWith('map ')).length
      return map({ ...request, key }, call)
    })
  },
  {
    name: 'changes the request',
    breaks: 'map-leaves-the-request-alone',
    strategy: withMap((map, _, request, call) => {
      const answer = map(request, call)
      request.key.fill(0)
      return answer
    })
  },
  {
    name: 'writes the key into the log',
    breaks: 'map-logs-no-key',
    strategy: withMap((map, { host }, request, call) => {
      host.log.debug(`mapping with key ${Buffer.from(request.key).toString('hex')}`)
      return map(request, call)
    })
  },
  {
    name: 'leaves a listener on the signal',
    breaks: 'map-leaves-no-listener',
    strategy: withMap((map, _, request, call) => {
      call.signal.addEventListener('abort', () => undefined)
      return map(request, call)
    })
  },
  {
    name: 'sends a request with an aborted signal',
    breaks: 'map-aborted-before-sends-nothing',
    strategy: withMap((map, { table }, request, call) => {
      if (call.signal.aborted) table.unmap(wishOf(request), { signal: never }).catch(() => undefined)
      return map(request, call)
    })
  },
  {
    name: 'ignores the abort of map',
    breaks: 'abort-rejects-map',
    strategy: withMap(async (map, { table }, request, call) => {
      call.signal.throwIfAborted()
      const lease = await map(request, { signal: never })
      // It even cleans up, but then resolves.
      if (call.signal.aborted) await table.unmap(wishOf(request), { signal: never })
      return lease
    })
  },
  {
    name: 'rejects an aborted map with its own reason',
    breaks: 'abort-keeps-the-reason',
    strategy: withMap((map, _, request, call) =>
      map(request, call).catch((error: unknown) => {
        throw call.signal.aborted ? new Error('aborted') : error
      })
    )
  },
  {
    name: 'leaves the mapping after an abort',
    breaks: 'abort-undoes-map',
    strategy: withMap(async (map, { table, host }, request, call) => {
      try {
        return await map(request, call)
      } catch (error) {
        if (call.signal.aborted && table.log.includes(`map ${request.endpoint.protocol} ${request.endpoint.port}`)) {
          // Acts as if the request to undo was lost.
          await table.map(wishOf(request), { signal: never })
          await host.clock.sleep(0, { signal: never })
        }
        throw error
      }
    })
  },
  {
    name: 'treats a slow router as absent',
    breaks: 'map-waits-for-a-slow-router',
    strategy: withMap(async (map, { host }, request, call) => {
      const over = new AbortController()
      const bounded = { signal: anySignal([call.signal, over.signal]) }
      const late = natError('NO_REPLY', 'no answer within 2 s')
      host.clock.sleep(2000, bounded).then(
        () => over.abort(late),
        () => undefined
      )
      try {
        return await map(request, bounded)
      } finally {
        over.abort(late)
      }
    })
  },
  {
    name: 'resolves undo without deleting the mapping',
    breaks: 'undo-deletes-what-map-made',
    strategy: withMapper((honest) => ({ ...honest, undo: async () => undefined }))
  },
  {
    name: 'undoes an aborted map too slowly',
    breaks: 'abort-undoes-in-time',
    strategy: withMap(async (map, { host }, request, call) => {
      call.signal.throwIfAborted()
      try {
        return await map(request, call)
      } catch (error) {
        if (call.signal.aborted) await host.clock.sleep(2000, { signal: never })
        throw error
      }
    })
  },
  {
    name: 'rejects map without a known code',
    breaks: 'map-rejects-with-nat-error',
    strategy: withMap((map, _, request, call) =>
      map(request, call).catch((error: unknown) => {
        throw call.signal.aborted || !isNatError(error) ? error : new Error('mapping failed')
      })
    )
  },
  {
    name: 'uses its own timer',
    breaks: 'uses-the-clock-of-the-host',
    strategy: withMap((map, _, request, call) => {
      setTimeout(() => undefined, 1).unref()
      return map(request, call)
    })
  },
  {
    name: 'reports the suggested port',
    breaks: 'lease-has-the-granted-port',
    strategy: withLease((honest, { request }) => ({
      ...honest,
      addresses: honest.addresses.map((text): `/${string}` => {
        const asked = text.replace(/\d+$/, String(request.suggestedExternalPort))
        return `/${asked.slice(1)}`
      })
    }))
  },
  {
    name: 'reports the internal address',
    breaks: 'lease-has-the-external-address',
    strategy: withLease((honest, { request }) => ({
      ...honest,
      addresses: honest.addresses.map((text): `/${string}` => `/ip4/${request.endpoint.address}/${rest(text)}`)
    }))
  },
  {
    name: 'reports the unspecified address',
    breaks: 'lease-has-the-external-address',
    strategy: withLease((honest) => ({
      ...honest,
      addresses: honest.addresses.map((text): `/${string}` => `/ip4/0.0.0.0/${rest(text)}`)
    }))
  },
  {
    name: 'reports the requested lifetime',
    breaks: 'lease-has-the-granted-lifetime',
    strategy: withLease((honest, { request }) => ({ ...honest, lifetimeMs: request.lifetimeMs }))
  },
  {
    name: 'reports the lifetime in seconds',
    breaks: 'lease-lifetime-is-in-ms',
    strategy: withLease((honest) => ({ ...honest, lifetimeMs: honest.lifetimeMs / 1000 }))
  }
]

/** Returns everything after the address. */
const rest = (text: string): string => text.replace(/^\/ip4\/[^/]*\//, '')
