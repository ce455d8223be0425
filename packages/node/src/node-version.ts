/** This file also runs on older versions of Node.js, so it must not use newer features. */
const { node } = process.versions
// Other runtimes report the version of Node.js that they emulate.
const isNode = !('bun' in process.versions) && !('deno' in process.versions)
if (isNode && Number.parseInt(node, 10) < 22) {
  throw new TypeError(`@postern/node needs Node.js 22 or later, and this is Node.js ${node}: https://nodejs.org`)
}
