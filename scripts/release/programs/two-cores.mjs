// Prints the warning that two copies of core are loaded, if there is one.
process.on('warning', ({ code, message }) => {
  if (code === 'POSTERN_TWO_CORES') console.log(message)
})
await import('@postern/core')
await import('@postern/node')
