import { halvesMetric, type Route } from './route.js'
import { runTool } from './run-tool.js'

/**
 * Parses the default routes from the output of `netstat -rn`. macOS has no metric and lists routes in use first, so the
 * position in the list is the metric. `link#12` or `utun3` in place of a next hop means that the link has none.
 */
export function parseNetstat(text: string): readonly Route[] {
  let family: 4 | 6 = 4
  return text.split('\n').flatMap((line, order): Route[] => {
    if (line.startsWith('Internet6:')) family = 6
    else if (line.startsWith('Internet:')) family = 4
    const [destination, gateway, flags, link] = line.trim().split(/\s+/)
    const whole = destination === 'default'
    // OpenVPN and others add a route to each half of the internet instead of replacing the default route.
    const half = destination === '0/1' && family === 4
    if ((!whole && !half) || gateway === undefined || link === undefined || !flags?.includes('U')) return []
    const address = gateway.replace(/%.*$/, '')
    const isHop = family === 4 ? /^\d+(\.\d+){3}$/.test(address) : address.includes(':')
    // A default route that is scoped to its interface (flag I) is used only by sockets that are bound to it.
    const metric = half ? halvesMetric : order + (flags.includes('I') ? 1_000_000 : 0)
    return [{ family, gateway: isHop ? address : undefined, interface: link, metric }]
  })
}

/** Resolves to the default routes of macOS. */
export async function darwinRoutes(): Promise<readonly Route[]> {
  const text = await runTool('netstat', ['-rn'], 5000)
  return parseNetstat(text)
}
