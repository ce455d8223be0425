/** The copies of core that this process has loaded: all copies find the same list there. */
const key = Symbol.for('@postern/core: loaded copies')

/** The part of Node.js, Bun and Deno that is used here. A browser has none of it. */
interface WithProcess {
  readonly process?: { readonly emitWarning?: (message: string, options: { readonly code: string }) => void }
}

/**
 * Adds a copy to a list, and returns a sentence for the user if another one is there already. Two copies do not know each other: a
 * traversal of one may not be what the functions of the other expect.
 */
export function addCopy(copies: Set<string>, url: string | undefined): string | undefined {
  if (url === undefined || url === '') return undefined
  copies.add(url)
  if (copies.size < 2) return undefined
  return `Two copies of @postern/core are loaded, ${[...copies].join(' and ')}: update the packages of Postern together. \`npm ls @postern/core\` shows which package needs which version`
}

// At import, since a copy may only give its functions to a program that never creates a traversal with it. Bundlers may leave out the
// URL, and put two copies into one file: then nothing is known.
const global: WithProcess & { [key]?: Set<string> } = globalThis
global[key] ??= new Set()
const url: string | undefined = import.meta.url
const sentence = addCopy(global[key], url)
if (sentence !== undefined) global.process?.emitWarning?.(sentence, { code: 'POSTERN_TWO_CORES' })
