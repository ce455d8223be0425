// Measures delays in the lab: node packages/lab/test/measure-delay.mjs
// Prints round trips of single bytes over one TCP connection, and the throughput in 3 s, for each delay.
import { once } from 'node:events'
import { canDelay, openLab } from '@postern/lab'

const rounds = 100
const server = `
  const { createServer } = require('node:net')
  createServer((socket) => socket.setNoDelay().pipe(socket)).listen(7, () => {
    createServer((socket) => socket.resume()).listen(9, () => console.log('listening'))
  })`
const roundTrips = (address) => `
  const socket = require('node:net').connect(7, '${address}')
  const times = []
  let start
  const ask = () => { start = performance.now(); socket.write('x') }
  socket.setNoDelay().on('connect', ask).on('data', () => {
    if (times.push(performance.now() - start) < ${rounds}) return ask()
    times.sort((a, b) => a - b)
    console.log([0, 0.5, 0.9].map((share) => times[${rounds} * share].toFixed(1)).join(' | '))
    process.exit()
  })`
const throughput = (address) => `
  const socket = require('node:net').connect(9, '${address}')
  const chunk = Buffer.alloc(65_536)
  const fill = () => { while (socket.write(chunk)); }
  socket.on('connect', fill).on('drain', fill)
  setTimeout(() => {
    console.log(Math.round((socket.bytesWritten - socket.writableLength) * 8 / 3e6))
    process.exit()
  }, 3000)`

const support = await canDelay()
if (!support.ok) {
  console.log(support.reason)
  process.exit(1)
}
await using lab = await openLab('home')
const address = lab.address('internet')
const listening = lab.spawn('internet', [process.execPath, '-e', server], { stdio: ['ignore', 'pipe', 'inherit'] })
await once(listening.stdout, 'data')
console.log('| one way, ms | jitter, ms | RTT, least | middle | 90 % | Mbit/s |\n|---|---|---|---|---|---|')
for (const [delayMs, jitterMs] of [
  [0, 0],
  [1, 0],
  [2, 0],
  [10, 0],
  [25, 0],
  [100, 0],
  [25, 10]
]) {
  await lab.delay('router', delayMs, { jitterMs })
  const times = await lab.run('home', [process.execPath, '-e', roundTrips(address)])
  const rate = await lab.run('home', [process.execPath, '-e', throughput(address)])
  console.log(`| ${delayMs} | ${jitterMs} | ${times.stdout.trim()} | ${rate.stdout.trim()} |`)
}
