// node require-all.cjs <module>…: requires each, and prints one line for each that cannot be required.
let failed = false
for (const name of process.argv.slice(2)) {
  try {
    const exported = require(name)
    if (typeof exported !== 'function' && Object.keys(exported).length === 0) throw new Error('exports nothing')
  } catch (error) {
    failed = true
    console.log(`${name}: ${error.message.replaceAll('\n', ' ')}`)
  }
}
process.exit(failed ? 1 : 0)
