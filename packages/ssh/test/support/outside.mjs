// Runs inside a lab: `node outside.mjs <task> <host> <port> [<more>]`. Prints one line of JSON.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'

const [, , task, host, port, more = '0'] = process.argv

const dial = async () => {
  const socket = connect({ host, port: Number(port), allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}
const textOf = async (socket) => {
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) text += chunk
  return text
}

const tasks = {
  /** Whether the port accepts a connection. */
  async reach() {
    const socket = await dial()
    socket.destroy()
    return { reached: true }
  },
  /** Sends random bytes and an end, and prints what the application says and what was expected. */
  async hash() {
    const socket = await dial()
    const bytes = randomBytes(Number(more))
    socket.end(bytes)
    const { localAddress: address, localPort } = socket
    const answer = JSON.parse(await textOf(socket))
    return { answer, hash: createHash('sha256').update(bytes).digest('hex'), self: { address, port: localPort } }
  },
  /** Sends random bytes to an application that sends them back, and compares. */
  async echo() {
    const socket = await dial()
    const bytes = randomBytes(Number(more))
    const back = createHash('sha256')
    let length = 0
    socket.on('data', (chunk) => {
      length += chunk.length
      back.update(chunk)
    })
    socket.end(bytes)
    await once(socket, 'end')
    return { isSame: back.digest('hex') === createHash('sha256').update(bytes).digest('hex'), length }
  },
  /** Sends as much as it can until nothing more is taken for a second, and keeps the connection. */
  async flood() {
    const socket = await dial()
    const chunk = Buffer.alloc(65_536)
    let sent = 0
    for (;;) {
      sent += chunk.length
      if (socket.write(chunk)) continue
      const isDrained = await Promise.race([
        once(socket, 'drain').then(() => true),
        new Promise((resolve) => setTimeout(() => resolve(false), 1000))
      ])
      if (isDrained) continue
      process.stdout.write(`${JSON.stringify({ sent: sent - socket.writableLength })}\n`)
      await once(socket, 'close')
      return {}
    }
  },
  /** Opens a connection, exchanges a byte, and waits for its end. */
  async stay() {
    const socket = await dial()
    socket.write('x')
    await once(socket, 'data')
    process.stdout.write(`${JSON.stringify({ event: 'open' })}\n`)
    const end = new Promise((resolve) => {
      socket.once('error', ({ code }) => resolve(code))
      socket.once('end', () => resolve('end'))
    })
    return { end: await end }
  }
}

const result = await tasks[task]().catch(({ code, message }) => ({ failed: { code, message } }))
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit())
