// node import.mjs <module>…: imports each, and prints one line for each that cannot be imported.
let failed = false
for (const name of process.argv.slice(2)) {
  try {
    const exported = Object.keys(await import(name))
    if (exported.length === 0) throw new Error('exports nothing')
  } catch (error) {
    failed = true
    console.log(`${name}: ${error.message}`)
  }
}
process.exit(failed ? 1 : 0)
