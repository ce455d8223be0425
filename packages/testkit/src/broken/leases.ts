import { type Lease, natError } from '@postern/interface'
import { type BrokenStrategy, withLease } from './change.js'
import { wishOf } from './reference-mapper.js'

const never = new AbortController().signal

/** Strategies with faulty leases. */
export const brokenLeases: readonly BrokenStrategy[] = [
  {
    name: 'renews with another key',
    breaks: 'renew-keeps-the-key',
    strategy: withLease((honest, { table, request }) => ({
      ...honest,
      async renew(call) {
        const suggestedExternalPort = Number(honest.addresses[0]?.split('/').at(-1))
        const key = request.key.map((byte) => byte ^ 255)
        await table.map(wishOf({ ...request, suggestedExternalPort, key }), call)
        return await honest.renew(call)
      }
    }))
  },
  {
    name: 'renews with the port that it first suggested',
    breaks: 'renew-suggests-the-granted-port',
    strategy: withLease((honest, { table, request }) => ({
      ...honest,
      async renew(call) {
        await table.map(wishOf(request), call)
        return await honest.renew(call)
      }
    }))
  },
  {
    name: 'changes the old lease on renewal',
    breaks: 'renew-leaves-the-old-lease-alone',
    strategy: withLease((honest) => {
      const lease = { ...honest }
      return Object.assign(lease, {
        async renew(call: Parameters<Lease['renew']>[0]) {
          const next = await honest.renew(call)
          Object.assign(lease, { addresses: next.addresses, lifetimeMs: next.lifetimeMs })
          return next
        }
      })
    })
  },
  {
    name: 'reports the old address after a renewal',
    breaks: 'renew-says-what-was-granted',
    strategy: withLease((honest) => ({
      ...honest,
      renew: async (call) => ({ ...(await honest.renew(call)), addresses: honest.addresses })
    }))
  },
  {
    name: 'rejects renew without a known code',
    breaks: 'renew-rejects-with-nat-error',
    strategy: withLease((honest) => ({
      ...honest,
      renew: (call) =>
        honest.renew(call).catch((error: unknown) => {
          throw call.signal.aborted ? error : new Error('renewal failed')
        })
    }))
  },
  {
    name: 'ignores the abort of renew',
    breaks: 'abort-rejects-renew',
    strategy: withLease((honest) => ({
      ...honest,
      async renew(call) {
        call.signal.throwIfAborted()
        return await honest.renew({ signal: never })
      }
    }))
  },
  {
    name: 'renews by itself',
    breaks: 'lease-does-not-renew-itself',
    strategy: withLease((honest, { table, host, request }) => {
      const released = new AbortController()
      const renewing = async (): Promise<void> => {
        for (;;) {
          await host.clock.sleep(honest.lifetimeMs / 2, { signal: released.signal })
          await table.map(wishOf(request), { signal: released.signal })
        }
      }
      renewing().catch(() => undefined)
      return {
        ...honest,
        renew(call) {
          released.abort()
          return honest.renew(call)
        },
        release(call) {
          released.abort()
          return honest.release(call)
        }
      }
    })
  },
  {
    name: 'leaves a timer after release',
    breaks: 'release-leaves-no-timer',
    strategy: withLease((honest, { host }) => ({
      ...honest,
      async release(call) {
        await honest.release(call)
        host.clock.sleep(86_400_000, { signal: never }).catch(() => undefined)
      }
    }))
  },
  {
    name: 'removes no rule on release',
    breaks: 'release-removes-the-rule',
    strategy: withLease((honest, { table }) => ({
      ...honest,
      // Sends some request, so that the release seems to work.
      release: (call) => table.probe(call)
    }))
  },
  {
    name: 'cannot be released twice',
    breaks: 'release-twice-is-once',
    strategy: withLease((honest) => {
      let released = false
      return {
        ...honest,
        async release(call) {
          if (released) throw natError('MAPPING_LOST', 'there is no such mapping')
          await honest.release(call)
          released = true
        }
      }
    })
  },
  {
    name: "also removes another endpoint's mapping on release",
    breaks: 'release-removes-nothing-else',
    strategy: withLease((honest, { table, request }) => ({
      ...honest,
      async release(call) {
        await honest.release(call)
        // Removes every mapping of this host with the key of the same run.
        for (const rule of table.rules.filter(({ internalAddress }) => internalAddress === request.endpoint.address))
          await table.unmap({ ...wishOf(request), ...rule, key: Uint8Array.from(Buffer.from(rule.key, 'hex')) }, call)
      }
    }))
  },
  {
    name: 'rejects release without a known code',
    breaks: 'release-rejects-with-nat-error',
    strategy: withLease((honest) => ({
      ...honest,
      release: (call) =>
        honest.release(call).catch((error: unknown) => {
          throw call.signal.aborted ? error : new Error('release failed')
        })
    }))
  },
  {
    name: 'ignores the abort of release',
    breaks: 'abort-rejects-release',
    strategy: withLease((honest) => ({
      ...honest,
      async release(call) {
        call.signal.throwIfAborted()
        await honest.release({ signal: never })
      }
    }))
  }
]
