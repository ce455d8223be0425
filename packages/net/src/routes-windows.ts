import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Route } from './route.js'

const command = [
  "Get-NetRoute -DestinationPrefix '0.0.0.0/0','::/0' -ErrorAction SilentlyContinue",
  'Select-Object NextHop,InterfaceAlias,RouteMetric,InterfaceMetric',
  'ConvertTo-Json -Compress'
].join(' | ')

/** The default routes that `Get-NetRoute … | ConvertTo-Json` prints: an object, an array of them, or nothing. */
export function parseGetNetRoute(text: string): readonly Route[] {
  if (text.trim() === '') return []
  const parsed: unknown = JSON.parse(text)
  return (Array.isArray(parsed) ? parsed : [parsed]).flatMap((row: unknown): Route[] => {
    if (typeof row !== 'object' || row === null) return []
    const { NextHop, InterfaceAlias, RouteMetric, InterfaceMetric } = { ...emptyRow, ...row }
    if (typeof NextHop !== 'string' || typeof InterfaceAlias !== 'string') return []
    const family = NextHop.includes(':') ? 6 : 4
    const gateway = NextHop === '0.0.0.0' || NextHop === '::' ? undefined : NextHop
    return [{ family, gateway, interface: InterfaceAlias, metric: Number(RouteMetric) + Number(InterfaceMetric) }]
  })
}

const emptyRow: Readonly<Record<'NextHop' | 'InterfaceAlias' | 'RouteMetric' | 'InterfaceMetric', unknown>> = {
  NextHop: undefined,
  InterfaceAlias: undefined,
  RouteMetric: 0,
  InterfaceMetric: 0
}

/** Default routes of Windows. */
export async function windowsRoutes(): Promise<readonly Route[]> {
  const { stdout } = await promisify(execFile)(
    'powershell.exe',
    ['-NoProfile', '-NonInteractive', '-Command', command],
    {
      timeout: 15_000
    }
  )
  return parseGetNetRoute(stdout)
}
