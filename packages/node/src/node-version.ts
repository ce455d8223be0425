/** Also read by programs on an older Node.js: nothing here may be newer than that. */
const { node } = process.versions
// Other runtimes tell a version of Node.js for what they imitate.
const isNode = !('bun' in process.versions) && !('deno' in process.versions)
if (isNode && Number.parseInt(node, 10) < 22) {
  throw new TypeError(`@postern/node needs Node.js 22 or later, and this is Node.js ${node}: https://nodejs.org`)
}
