// Simulates ssh and its server. A forwarded port is a file in the folder FAKE_SSH_FOLDER.
import fs from 'node:fs'
import path from 'node:path'

const forward = process.argv.find((each) => each.startsWith('*:')) ?? ''
const [, port] = forward.split(':')
const file = path.join(process.env.FAKE_SSH_FOLDER, port)
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    fs.rmSync(file, { force: true })
    process.exit(255)
  })
}
try {
  fs.writeFileSync(file, forward, { flag: 'wx' })
} catch {
  process.stderr.write(`Error: remote port forwarding failed for listen port ${port}\n`)
  process.exit(255)
}
process.stderr.write('debug1: Authentication succeeded (none).\ndebug1: remote forward succ')
setTimeout(() => process.stderr.write(`ess for: listen *:${port}, connect ${forward}\n`), 2)
setInterval(() => process.stderr.write('debug1: still here\n'), 1000)
