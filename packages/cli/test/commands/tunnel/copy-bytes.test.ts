import { once } from 'node:events'
import { gateOf } from '@postern/libp2p-utils'
import { describe, expect, it } from 'vitest'
import { splice } from '../../../src/commands/tunnel/copy-bytes.js'
import { createRecordReader } from '../../../src/commands/tunnel/records.js'
import { dialLocal, endOn, heard, heardOn, isReset, sayOn, spliced, windowBytes } from './tunnel-nodes.js'

const total = 32 * 1024 * 1024
const chunk = Buffer.alloc(64 * 1024, 'a')

describe('a TCP connection that is spliced to a stream', () => {
  it('a spliced connection that ends still receives the rest', async () => {
    const { app, far, carried } = await spliced()
    const [atApp, atFar] = [heard(app), heardOn(far)]
    app.end('question')
    expect(await atFar).toBe('question')
    sayOn(far, 'answer')
    await endOn(far)
    expect(await atApp).toBe('answer')
    expect(await carried).toEqual({ toStream: 8, toSocket: 6, whole: true })
  })

  it('a spliced connection that received the end still sends the rest', async () => {
    const { app, far, carried } = await spliced()
    const [atApp, atFar] = [heard(app), heardOn(far)]
    sayOn(far, 'question')
    await endOn(far)
    expect(await atApp).toBe('question')
    app.end('answer')
    expect(await atFar).toBe('answer')
    expect(await carried).toEqual({ toStream: 6, toSocket: 8, whole: true })
  })

  it('a spliced connection is reset with the stream, although all data was read', async () => {
    const { app, far, carried } = await spliced()
    const atApp = heard(app)
    sayOn(far, 'half of it')
    await once(app, 'data')
    far.abort(new Error('no more'))
    expect(await atApp).toBe('ECONNRESET')
    expect(await carried).toMatchObject({ toSocket: 10, whole: false })
  })

  it('a connection that was closed before the splice resets the stream', async () => {
    const { app, near, far } = await spliced()
    const gone = await dialLocal(app.remotePort ?? 0)
    gone.destroy()
    await once(gone, 'close')
    const reset = isReset(far)
    far.resume()
    expect(await splice(gone, near, new AbortController())).toEqual({ toStream: 0, toSocket: 0, whole: false })
    expect(await reset).toBe(true)
  })

  it('a spliced connection that is reset resets the stream', async () => {
    const { app, far, carried } = await spliced()
    const reset = isReset(far)
    far.resume()
    app.resetAndDestroy()
    expect(await reset).toBe(true)
    expect(await carried).toMatchObject({ whole: false })
  })

  it.each(['near', 'far'] as const)(
    'is reset, not ended, when the %s end of the connection below is gone',
    async (end) => {
      const { app, far, connection, farConnection, carried } = await spliced()
      const atApp = heard(app)
      sayOn(far, 'half of it')
      await once(app, 'data')
      if (end === 'near') connection.abort(new Error('gone'))
      else farConnection.abort(new Error('gone'))
      expect(await atApp).toBe('ECONNRESET')
      expect(await carried).toMatchObject({ whole: false })
    }
  )

  it.each(['near', 'far'] as const)(
    'is reset, not ended, when the %s end closes the connection in good order',
    async (end) => {
      const { app, far, connection, farConnection, carried } = await spliced()
      const atApp = heard(app)
      far.resume()
      sayOn(far, 'half of it')
      await once(app, 'data')
      await (end === 'near' ? connection : farConnection).close()
      expect(await atApp).toBe('ECONNRESET')
      expect(await carried).toMatchObject({ whole: false })
    }
  )

  it('a spliced connection is reset if the libp2p connection closes after only the other side has ended', async () => {
    const { app, far, farConnection, carried } = await spliced()
    sayOn(far, 'all of it')
    await endOn(far)
    app.resume()
    await once(app, 'end')
    far.resume()
    app.write('half')
    await farConnection.close()
    expect(await carried).toMatchObject({ whole: false })
  })

  it.each([
    ['a record that is longer than any may be', Buffer.from([0, 1, 0, 1])],
    ['a byte after the end', Buffer.from([0, 0, 0, 0, 0])]
  ])('a spliced connection is reset on both sides by %s', async (_, bytes) => {
    const { app, far, carried } = await spliced()
    const [atApp, atFar] = [heard(app), isReset(far)]
    far.resume()
    far.send(bytes)
    expect([await atApp, await atFar]).toEqual(['ECONNRESET', true])
    expect(await carried).toMatchObject({ whole: false })
  })

  it('a spliced connection is reset on both sides by a program that stops regularly', async () => {
    const { app, far, connection, carried, stop } = await spliced()
    const [atApp, atFar] = [heard(app), isReset(far)]
    far.resume()
    sayOn(far, 'half of it')
    await once(app, 'data')
    stop()
    await connection.close()
    expect([await atApp, await atFar]).toEqual(['ECONNRESET', true])
    expect(await carried).toMatchObject({ whole: false })
  })

  it('a spliced connection slows a far sender down while it does not read, and buffers little', async () => {
    const { app, socket, near, far, carried } = await spliced()
    app.pause()
    let kept = 0
    near.addEventListener('message', () => {
      kept = Math.max(kept, socket.writableLength + near.readBufferLength)
    })
    let sent = 0
    const sending = (async () => {
      for (; sent < total; sent += chunk.byteLength) if (!sayOn(far, chunk)) await far.onDrain()
      await endOn(far)
    })()
    await expect.poll(() => near.readStatus, { interval: 5 }).toBe('paused')
    let received = 0
    app.on('data', (data: Buffer) => {
      received += data.byteLength
    })
    app.once('end', () => app.end())
    far.resume()
    app.resume()
    await sending
    expect(await carried).toEqual({ toStream: 0, toSocket: total, whole: true })
    expect(received).toBe(total)
    expect(kept).toBeLessThan(2 * windowBytes)
  })

  it('a spliced connection is slowed down while the far side does not read, and little is buffered', async () => {
    const { app, socket, near, far, carried } = await spliced()
    for (let sent = 0; sent < total; sent += chunk.byteLength) app.write(chunk)
    app.end()
    await expect.poll(() => socket.isPaused(), { interval: 5 }).toBe(true)
    const kept = near.writeBufferLength + far.readBufferLength
    expect(kept).toBeLessThan(4 * windowBytes)
    let received = 0
    const reader = createRecordReader()
    far.addEventListener('message', ({ data }) => {
      for (const part of reader.read(data.subarray())) received += part.byteLength
    })
    far.resume()
    await endOn(far)
    app.resume()
    expect(await carried).toEqual({ toStream: total, toSocket: 0, whole: true })
    expect(received).toBe(total)
  })
})

describe('a splice with sides of different speed', () => {
  const whole = Buffer.alloc(total, 'b')

  it('a splice buffers at most a chunk for a far end that does not read', async () => {
    const { app, socket, near, far, carried } = await spliced()
    const reader = createRecordReader()
    let [read, unsent] = [0, 0]
    const gate = gateOf(far)
    far.addEventListener('message', ({ data }) => {
      for (const part of reader.read(data.subarray())) read += part.byteLength
      gate.hold()
    })
    /** Waits some turns of the event loop. Both ends are in this process, so nothing moves after that. */
    const standstill = async (): Promise<void> => {
      for (let [still, before] = [0, -1]; still < 100; still++) {
        await new Promise((go) => setImmediate(go))
        unsent = Math.max(unsent, near.writeBufferLength)
        if (socket.bytesRead !== before) [still, before] = [0, socket.bytesRead]
      }
    }
    app.end(whole)
    await standstill()
    expect(socket.bytesRead).toBeLessThan(2 * windowBytes)
    for (let step = 0; step < 5; step++) {
      gate.release()
      await standstill()
    }
    expect(socket.bytesRead - read).toBeLessThan(3 * windowBytes)
    while (!reader.hasEnded) {
      gate.release()
      await new Promise((go) => setImmediate(go))
      unsent = Math.max(unsent, near.writeBufferLength)
    }
    await endOn(far)
    app.resume()

    expect(read).toBe(total)
    expect(unsent).toBeLessThanOrEqual(2 * chunk.byteLength)
    expect(await carried).toMatchObject({ toStream: total, whole: true })
  })

  it('a splice loses no data of a far end that ended before a slow application has read it', async () => {
    const { app, far, carried } = await spliced()
    const atFar = heardOn(far)
    app.end('question')
    expect(await atFar).toBe('question')
    let read = 0
    const { promise: ended, resolve } = Promise.withResolvers<string>()
    app.on('error', ({ message }) => resolve(message))
    app.on('end', () => resolve('end'))
    app.on('data', (bytes) => {
      read += bytes.byteLength
      app.pause()
      setImmediate(() => app.resume())
    })
    sayOn(far, whole)
    const closed = endOn(far)
    app.resume()

    expect([await ended, read]).toEqual(['end', total])
    await closed
    expect(await carried).toEqual({ toStream: 8, toSocket: total, whole: true })
  })

  it('a splice buffers at most a window for an application that does not read, and loses no data', async () => {
    const { app, near, far, carried } = await spliced()
    far.resume()
    let unread = 0
    const turn = async (): Promise<void> => {
      await new Promise((go) => setImmediate(go))
      unread = Math.max(unread, near.readBufferLength)
    }
    sayOn(far, whole)
    const closed = endOn(far)
    let read = 0
    let isOver = false
    app.on('end', () => (isOver = true))
    app.on('data', (bytes) => (read += bytes.byteLength))
    // Read a little now and then; each read opens the window again.
    for (let glance = 0; glance < 50; glance++) {
      for (let still = 0, before = -1; still < 20; still++) {
        if (before !== far.writeBufferLength) [still, before] = [0, far.writeBufferLength]
        await turn()
      }
      app.resume()
      await turn()
      app.pause()
    }
    app.resume()
    while (!isOver) await turn()

    expect(read).toBe(total)
    expect(unread).toBeLessThanOrEqual(2 * windowBytes)
    await closed
    app.end()
    expect(await carried).toMatchObject({ toSocket: total, whole: true })
  })
})
