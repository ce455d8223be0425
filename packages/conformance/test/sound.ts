import { isNotice, natError, type Strategy } from '@postern/interface'

/** The strategies of the testkit, which trust in being asked for IPv4 only and wait for an answer in silence: with the two
 * things besides that the suite wants of a strategy for real routers. */
export const sound =
  (strategy: Strategy, { absence: tells = true, family: minds = true } = {}): Strategy =>
  (host) => {
    const discovery = strategy(host)
    return {
      ...discovery,
      async discover(network, found, { signal }) {
        const heard = new AbortController()
        const absence = async (): Promise<void> => {
          await host.clock.sleep(1000, { signal: AbortSignal.any([signal, heard.signal]) })
          const gateway = network.gateways[0] ?? null
          found({ kind: 'notice', what: 'absent', gateway, reason: natError('NO_REPLY', 'no answer so far') })
        }
        if (tells) absence().catch(() => undefined)
        const ended = discovery.discover(
          network,
          (finding) => {
            heard.abort()
            if (isNotice(finding) || finding.kind !== 'mapper') return found(finding)
            const { map, family } = finding
            found({
              ...finding,
              async map(request, call) {
                if (minds && request.endpoint.family !== family) throw new TypeError('an endpoint of the other family')
                return map(request, call)
              }
            })
          },
          { signal }
        )
        await ended.finally(() => heard.abort())
      }
    }
  }
