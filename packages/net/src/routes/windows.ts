import { natError } from '@postern/interface'
import type { Route } from './route.js'
import { runTool } from './run-tool.js'

const command = [
  "Get-NetRoute -DestinationPrefix '0.0.0.0/0','::/0' -ErrorAction SilentlyContinue",
  'Select-Object NextHop,InterfaceAlias,RouteMetric,InterfaceMetric',
  'ConvertTo-Json -Compress'
].join(' | ')

/** Parses the default routes from the output of `Get-NetRoute … | ConvertTo-Json`: an object, an array of objects, or
 * nothing. Skips malformed rows. Throws `MALFORMED_REPLY` for text that is not JSON. */
export function parseGetNetRoute(text: string): readonly Route[] {
  if (text.trim() === '') return []
  const parsed = parseJson(text)
  return (Array.isArray(parsed) ? parsed : [parsed]).flatMap((row: unknown): Route[] => {
    if (typeof row !== 'object' || row === null) return []
    const { NextHop, InterfaceAlias, RouteMetric, InterfaceMetric } = { ...emptyRow, ...row }
    if (typeof NextHop !== 'string' || typeof InterfaceAlias !== 'string') return []
    const metric = Number(RouteMetric) + Number(InterfaceMetric)
    if (!Number.isFinite(metric)) return []
    const family = NextHop.includes(':') ? 6 : 4
    const gateway = NextHop === '0.0.0.0' || NextHop === '::' ? undefined : NextHop
    return [{ family, gateway, interface: InterfaceAlias, metric }]
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw natError('MALFORMED_REPLY', 'the output of PowerShell is not JSON', { cause })
  }
}

const emptyRow: Readonly<Record<'NextHop' | 'InterfaceAlias' | 'RouteMetric' | 'InterfaceMetric', unknown>> = {
  NextHop: undefined,
  InterfaceAlias: undefined,
  RouteMetric: 0,
  InterfaceMetric: 0
}

/**
 * Returns the path of a program of Windows, named below its folder System32. By its name alone, a program of that name in the working folder
 * would be started in its place: Windows looks there first.
 */
export function windowsProgram(name: string, env: Readonly<Record<string, string | undefined>> = process.env): string {
  const { SystemRoot = '' } = env
  const root = /^[A-Za-z]:\\/.test(SystemRoot) ? SystemRoot : String.raw`C:\Windows`
  return [root, 'System32', name].join('\\')
}

/** The path of PowerShell below System32. */
export const powerShell: string = String.raw`WindowsPowerShell\v1.0\powershell.exe`

/** Resolves to the default routes of Windows. */
export async function windowsRoutes(): Promise<readonly Route[]> {
  const text = await runTool(windowsProgram(powerShell), ['-NoProfile', '-NonInteractive', '-Command', command], 15_000)
  return parseGetNetRoute(text)
}
