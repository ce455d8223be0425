/**
 * Every package of Postern for libp2p imports this one. libp2p itself fails on an older Node.js without saying why. This file also runs
 * there, so it must not use newer features.
 */
const { node } = process.versions
// Other runtimes report the version of Node.js that they emulate.
const isNode = !('bun' in process.versions) && !('deno' in process.versions)
if (isNode && Number.parseInt(node, 10) < 22) {
  throw new TypeError(
    `Packages of Postern for libp2p need Node.js 22 or later, and this is Node.js ${node}: https://nodejs.org`
  )
}
