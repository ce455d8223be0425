/**
 * How this package writes and locks files, for programs that keep files of their own beside those of the store.
 *
 * @packageDocumentation
 */
export type { FileLock, Holder } from './file-lock.js'
export { isHolder, takeLock } from './file-lock.js'
export {
  createFile,
  explainFileError,
  makeFolder,
  readRegularFile,
  removeLeftovers,
  replaceFile,
  stateFile
} from './files.js'
