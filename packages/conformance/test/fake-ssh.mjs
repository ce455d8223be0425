// Simulates ssh and its server, which listens on 127.0.0.1. FAKE_SSH_MOOD: `silent` never says that the server listens, and
// with `misdirecting` another program answers there.
import net from 'node:net'

const [, port, , target] = (process.argv.find((each) => each.startsWith('*:')) ?? '').split(':')
const mood = process.env.FAKE_SSH_MOOD
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(255))

const server = net.createServer({ allowHalfOpen: true }, (outside) => {
  outside.on('error', () => {})
  if (mood === 'misdirecting') return outside.end('220 another program\r\n')
  const inside = net.connect({ host: '127.0.0.1', port: Number(target), allowHalfOpen: true })
  inside.on('error', () => outside.destroy())
  outside.pipe(inside).pipe(outside)
})
server.once('error', () => {
  process.stderr.write(`Error: remote port forwarding failed for listen port ${port}\n`)
  process.exit(255)
})
if (mood === 'silent') setInterval(() => {}, 1000)
else
  server.listen(Number(port), '127.0.0.1', () => {
    process.stderr.write('debug1: Authentication succeeded (none).\ndebug1: remote forward succ')
    setTimeout(() => process.stderr.write(`ess for: listen *:${port}, connect 127.0.0.1:${target}\n`), 2)
  })
