/**
 * Throws a TypeError on a runtime that is too old. Every run of Postern creates a traversal, so this is the one place that tells the
 * users of all packages; without it they would read `Promise.withResolvers is not a function`.
 */
export function checkRuntime(scope: Runtime = globalThis): void {
  if (typeof scope.Promise.withResolvers === 'function') return
  const version = scope.process?.versions?.['node']
  const own = version === undefined ? 'this runtime is older' : `this is Node.js ${version}`
  throw new TypeError(
    `Postern needs Node.js 22 or later, or a browser with Promise.withResolvers(), and ${own}: https://nodejs.org`
  )
}

interface Runtime {
  readonly Promise: { readonly withResolvers?: unknown }
  readonly process?: { readonly versions?: Readonly<Record<string, string | undefined>> }
}
