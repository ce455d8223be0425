import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@postern/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import { exchangeHttp } from '../../src/index.js'

/** A certificate for localhost that nothing trusts, valid for 100 years, and its key. They are used in this test only. */
const cert = `-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUHWL5KkzwcxKeXF9eZIW/Ae1pVwUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzIxMTUwN1oYDzIxMjYxMTAz
MjExNTA3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASMwOu/ZwCEWSXWlIk4vTwlkAafC0s0mGtsCDW8qI60r30h54WAJ9Xs
UEpm3OMMNuJQb65SY/BzoRSXtV3yXAPgo2kwZzAdBgNVHQ4EFgQURwUyLGKYIJM0
0a9ruo1DZro4Z7wwHwYDVR0jBBgwFoAURwUyLGKYIJM00a9ruo1DZro4Z7wwFAYD
VR0RBA0wC4IJbG9jYWxob3N0MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID
SAAwRQIgRdY3HmSOk5X/HNYp4YmvnevziJR/qOSLSdFz9fW5lP0CIQCuojQ2+oEh
9KOnoI+uNxu4y/TOtZNfPS/zsGO1kr4l2g==
-----END CERTIFICATE-----`
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFi/k2Ugtqo9ywOPk
4TgyOfiATulAufutyhgeD60ShVehRANCAASMwOu/ZwCEWSXWlIk4vTwlkAafC0s0
mGtsCDW8qI60r30h54WAJ9XsUEpm3OMMNuJQb65SY/BzoRSXtV3yXAPg
-----END PRIVATE KEY-----`

async function listening(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer({ cert, key }, (request, response) =>
    response.end(`${request.method} ${request.headers.host}`)
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const bound = server.address()
  return { server, port: typeof bound === 'object' && bound !== null ? bound.port : 0 }
}

const bounds = { maxBytes: 1000, timeoutMs: 5000, clock: systemClock }

describe('exchangeHttp over TLS', () => {
  it('exchangeHttp rejects with UNTRUSTED_REPLY for a certificate that is not trusted', async () => {
    const { port } = await listening()
    const url = new URL(`https://localhost:${port}/`)
    const { signal } = new AbortController()
    await expect(exchangeHttp({ url, connectTo: '127.0.0.1', ...bounds }, { signal })).rejects.toMatchObject({
      code: 'UNTRUSTED_REPLY'
    })
  })

  it('exchangeHttp speaks TLS over a connection of its own, and over one that openEarly has opened', async () => {
    const { port } = await listening()
    const file = join(tmpdir(), `postern-${process.pid}.pem`)
    await writeFile(file, cert)
    const text = `
      import { exchangeHttp, openEarly } from '@postern/net'
      import { systemClock as clock } from '@postern/interface'
      const url = new URL('https://localhost:${port}/')
      const { signal } = new AbortController()
      const early = openEarly(url, '127.0.0.1')
      for (const connection of [early.take(), undefined]) {
        const exchange = { url, connectTo: '127.0.0.1', connection, maxBytes: 1000, timeoutMs: 5000, clock }
        const { status, body } = await exchangeHttp(exchange, { signal })
        console.log(status, Buffer.from(body).toString())
      }`
    // Node.js reads further certificates at its start only.
    const options = { cwd: join(import.meta.dirname, '../..'), env: { ...process.env, NODE_EXTRA_CA_CERTS: file } }
    const { promise, resolve } = Promise.withResolvers<string>()
    execFile(process.execPath, ['--input-type=module', '-e', text], options, (_error, stdout, stderr) =>
      resolve(stdout + stderr)
    )
    expect(await promise).toBe(`200 GET localhost:${port}\n`.repeat(2))
  })
})
