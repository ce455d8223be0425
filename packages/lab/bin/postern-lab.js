#!/usr/bin/env node
const major = Number.parseInt(process.versions.node, 10)
if (major < 22) {
  process.stderr.write(
    `postern-lab needs Node.js 22 or later, and this is Node.js ${process.versions.node}: https://nodejs.org\n`
  )
  process.exit(1)
}

await import('../dist/cli.js')
