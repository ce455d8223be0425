/**
 * Makes a Node.js server reachable from outside: `expose(server)` for `net`, `http`, `https`, `tls` and `dgram`.
 *
 * @packageDocumentation
 */

import './node-version.js'

export type { Cause, Report, Verdict } from '@postern/core'
export { parseMultiaddr } from '@postern/interface'
export type { TransportAddress } from '@postern/interface'
export type { ExposableServer } from './endpoints.js'
export type { ExternalEndpoint } from './external-endpoints.js'
export type { EndpointOwnersOptions } from './endpoint-owners.js'
export { endpointOwners } from './endpoint-owners.js'
export type { Exposure } from './expose.js'
export type { ExposeOptions, Listeners } from './expose-options.js'
export { expose } from './expose.js'
export type { FileLock, Holder } from './file-lock.js'
export { isHolder, takeLock } from './file-lock.js'
export type { FileStore, FileStoreOptions } from './file-store.js'
export { fileStore } from './file-store.js'
export {
  createFile,
  explainFileError,
  makeFolder,
  readRegularFile,
  removeLeftovers,
  replaceFile,
  stateFile
} from './files.js'
export { defaultStrategies, ladderGrammar, parseLadder } from './ladder.js'
