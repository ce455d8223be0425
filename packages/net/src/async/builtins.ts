import type * as Crypto from 'node:crypto'
import type * as Dns from 'node:dns'
import type * as Fs from 'node:fs'
import type * as Http from 'node:http'
import { createRequire } from 'node:module'
import type * as Net from 'node:net'
import type * as Tls from 'node:tls'

const load = createRequire(import.meta.url)

/**
 * Loads `node:http` or `node:https` when it is needed. An import as an ES module evaluates a getter that loads Node's
 * whole fetch, which takes eight times as long as everything else.
 */
export const httpOf = (protocol: 'http:' | 'https:'): typeof Http =>
  load(protocol === 'https:' ? 'node:https' : 'node:http')

/** Loads `node:tls` when it is needed: it takes as long as everything else together. */
export const nodeTls = (): typeof Tls => load('node:tls')

/** Loads `node:fs` when it is needed. An import as an ES module evaluates a getter that loads the streams of files. */
export const nodeFs = (): typeof Fs => load('node:fs')

/** Loads `node:net` when it is needed. A strategy over UDP does not need it. */
export const nodeNet = (): typeof Net => load('node:net')

/** Loads `node:dns` when it is needed: for the names of servers. */
export const nodeDns = (): typeof Dns => load('node:dns')

/** Loads `node:crypto` when it is needed: for hashes. Random bytes of this package come from Web Crypto. */
export const nodeCrypto = (): typeof Crypto => load('node:crypto')
