import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const deploy: string = join(import.meta.dirname, '..', '..', '..', 'deploy')

/** A panel, with what the tests read of it. */
export interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[]
}

/** A variable. */
export interface Variable {
  readonly name: string
  readonly type: string
  readonly definition?: string
}

/** A dashboard. */
export interface Dashboard {
  readonly file: string
  readonly uid: string
  readonly title: string
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly Variable[] }
}

const folder = join(deploy, 'grafana', 'dashboards')

/** Every dashboard of the folder. */
export const dashboards: readonly Dashboard[] = readdirSync(folder).map((file) => ({
  ...(JSON.parse(readFileSync(join(folder, file), 'utf8')) as Omit<Dashboard, 'file'>),
  file
}))

/** Returns the text with the values of variables in their places, as Grafana inserts them: `$job`. */
export function inserted(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(?:\{(\w+)\}|(\w+))/g, (all, braced?: string, plain?: string) => {
    const value = values[braced ?? plain ?? '']
    if (value === undefined) throw new Error(`there is no variable ${all}`)
    return value
  })
}

const words = new Set(['by', 'on', 'ignoring', 'without', 'and', 'or', 'unless', 'offset', 'bool', 'group_left'])

/** Returns the names of the metrics in a query: identifiers outside selectors and groups that are no function. */
export function metricsIn(query: string): readonly string[] {
  const bare = query
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
    .replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, '')
    .replaceAll(/\b(?:by|on|ignoring|without)\s*\([^)]*\)/g, '')
  return [...bare.matchAll(/\b[a-z_]\w*\b(?!\s*\()/g)].map(([name]) => name).filter((name) => !words.has(name))
}

/** Returns the names of the labels in a query: those of its selectors, and those by which it groups or matches. */
export function labelsIn(query: string): readonly string[] {
  const bare = query.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
  const selected = [...bare.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*""/g)].map(([, name = '']) => name)
  const grouped = [...bare.matchAll(/\b(?:by|on|ignoring|without)\s*\(([^)]*)\)/g)].flatMap(([, names = '']) =>
    names.split(',')
  )
  return [...selected, ...grouped.map((name) => name.trim())].filter((name) => name !== '')
}
