import { fileURLToPath } from 'node:url'

const cli = fileURLToPath(new URL('../packages/cli/bin/postern.js', import.meta.url))

/** The command `postern` as an argument list. */
export const postern = (...args) => [process.execPath, cli, ...args]
