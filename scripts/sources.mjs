// node --import ./scripts/sources.mjs: lets Node import modules of packages from their sources, which name each other with the
// extension that tsc would give them. What is built has one file for each package, and only its public functions.
import { existsSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'

registerHooks({
  resolve(specifier, context, next) {
    const isOurs = specifier.startsWith('.') && /\/packages\/[^/]+\/src\//.test(context.parentURL ?? '')
    const source = isOurs ? new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL) : undefined
    return next(source !== undefined && existsSync(fileURLToPath(source)) ? source.href : specifier, context)
  }
})
