import type { Report } from '@postern/core'
import { formatDevice, type GatewayDevice } from '@postern/interface'
import { type Maker, makers } from './makers.js'

/** Returns the maker of a router; undefined for one that is not known. The manufacturer decides, because the owner may give any
 * name to a router, and some firmware writes the board into the model. */
export function findMaker({ manufacturer, model, name }: GatewayDevice): Maker | undefined {
  for (const text of [manufacturer, model, name]) {
    const found = text === null ? undefined : makers.find(({ pattern }) => pattern.test(text))
    if (found !== undefined) return found
  }
  return undefined
}

/** The causes that a setting of the router can change. */
const causes: ReadonlySet<Report['cause']> = new Set([
  'no-mapping-service',
  'gateway-refused',
  'mapping-not-honoured',
  'blocked'
])

/** Returns where the settings are that the advice speaks of, in the words of the router's maker. Returns nothing for a maker
 * that is not known, or if no setting is of use. */
export function routerAdvice({ cause }: Pick<Report, 'cause'>, router: GatewayDevice | null): readonly string[] {
  if (router === null || !causes.has(cause)) return []
  const maker = findMaker(router)
  if (maker === undefined) return []
  const { name, upnp, forward } = maker
  const places = [
    ...(upnp === undefined ? [] : [`UPnP is under: ${upnp.path}`]),
    ...(forward === undefined ? [] : [`ports are forwarded by hand under: ${forward.path}`])
  ]
  const device = formatDevice(router)
  const what = device.toLowerCase().includes(name.toLowerCase()) ? device : `${name} (${device})`
  return [`In the settings of this router, ${what}: ${places.join('; ')}. The menus of other models may differ.`]
}
