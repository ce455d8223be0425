// What the programs of the rehearsal have in their environment: a home of their own, and no registry but that of the rehearsal.
import fs from 'node:fs'
import path from 'node:path'

/** Variables that configure package managers and Node, or that name folders of the user. */
const others =
  /^(?:npm_|yarn_|pnpm_|bun_|deno_|XDG_|NODE_(?:OPTIONS|PATH|COMPILE_CACHE)$|HOME$|USERPROFILE$|APPDATA$|LOCALAPPDATA$|INIT_CWD$)/i

/**
 * Returns the environment for programs that publish to the registry of the rehearsal, or install from it.
 *
 * A script of npm or pnpm has its configuration in its environment, where it is stronger than any file: a registry there would be the
 * one that is published to. All caches are in the folder, so that nothing stays, and nothing of an earlier rehearsal is installed.
 *
 * @param {string} folder of the rehearsal
 * @param {{ url: string, token: string }} registry
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {NodeJS.ProcessEnv}
 */
export function environmentOf(folder, { url, token }, env = process.env) {
  if (!/^http:\/\/127\.0\.0\.1:\d+\/$/.test(url)) throw new Error(`${url} is no registry on loopback`)
  const npmrc = path.join(folder, 'npmrc')
  const home = path.join(folder, 'home')
  fs.mkdirSync(home, { recursive: true })
  fs.writeFileSync(npmrc, `registry=${url}\n${url.replace('http:', '')}:_authToken=${token}\nupdate-notifier=false\n`)
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !others.test(name))),
    HOME: home,
    USERPROFILE: home,
    NPM_CONFIG_USERCONFIG: npmrc,
    // Yarn 1 reads the registry in no file that npm reads, and for root it has folders outside of the home.
    YARN_REGISTRY: url,
    YARN_CACHE_FOLDER: path.join(home, '.cache', 'yarn'),
    // Node writes a warning for what is new there.
    NODE_NO_WARNINGS: '1'
  }
}
