import type * as Http from 'node:http'
import { createRequire } from 'node:module'
import type * as Tls from 'node:tls'

const load = createRequire(import.meta.url)

/**
 * Loads `node:http` or `node:https` when it is needed. An import as an ES module evaluates a getter that loads Node's whole
 * fetch, which takes eight times as long as everything else.
 */
export const httpOf = (protocol: 'http:' | 'https:'): typeof Http =>
  load(protocol === 'https:' ? 'node:https' : 'node:http')

/** Loads `node:tls` when it is needed: it takes as long as everything else together. */
export const tls = (): typeof Tls => load('node:tls')
