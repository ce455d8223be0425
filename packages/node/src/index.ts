/**
 * Makes a Node.js server reachable from outside: `expose(server)` for `net`, `http`, `https`, `tls` and `dgram`.
 *
 * @packageDocumentation
 */

import './node-version.js'

export type { Cause, Report, Verdict } from '@postern/core'
export type { TransportAddress } from '@postern/interface'
export { parseMultiaddr } from '@postern/interface'
export type { Exposure } from './expose.js'
export { expose } from './expose.js'
export type { ExposeOptions, Listeners } from './expose-options.js'
export { isHolder, takeLock } from './files/file-lock.js'
export {
  createFile,
  explainFileError,
  makeFolder,
  readRegularFile,
  removeLeftovers,
  replaceFile,
  stateFile
} from './files/files.js'
export type { FileLock, Holder } from './files/lock-types.js'
export { defaultStrategies, ladderGrammar, parseLadder, parsePlainLadder } from './ladder.js'
export type { EndpointOwnersOptions } from './owners/endpoint-owners.js'
export { endpointOwners } from './owners/endpoint-owners.js'
export type { Arrivals } from './server/arrivals.js'
export { createArrivals, withArrivals } from './server/arrivals.js'
export type { Client } from './server/clients.js'
export type { ExposableServer } from './server/endpoints.js'
export type { ExternalEndpoint } from './server/external-endpoints.js'
export type { FileStore, FileStoreOptions } from './store/file-store.js'
export { fileStore } from './store/file-store.js'
