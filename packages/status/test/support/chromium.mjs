// Drives Chromium over a pipe with the DevTools protocol: no port is open for it.
import { spawn as spawnHere } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * @typedef {object} Tab
 * @property {(method: string, params?: object) => Promise<any>} send
 * @property {(url: string) => Promise<void>} open
 * @property {(expression: string) => Promise<any>} evaluate evaluates an expression in the page
 * @property {(expression: string, timeoutMs?: number) => Promise<any>} until resolves with the value as soon as it is true
 * @property {(folder: string) => Promise<void>} downloadTo
 * @property {(key: string) => Promise<void>} press presses a key: Tab, Enter, Space, or a character
 * @property {(width: number, height: number, scheme?: 'light' | 'dark', motion?: 'reduce') => Promise<void>} resize
 * @property {(isWhole?: boolean) => Promise<Buffer>} shoot
 * @property {string[]} complaints errors, and messages of the browser such as those about the content security policy
 * @property {string[]} requests the URLs that were requested
 */

/**
 * Starts Chromium.
 *
 * @param {string} program
 * @param {(command: string[], options: object) => import('node:child_process').ChildProcess} [spawn] starts it in a host of a lab
 * @returns {Promise<{ tab: () => Promise<Tab>, close: () => Promise<void> }>}
 */
export async function startChromium(
  program,
  spawn = ([name, ...args], options) => spawnHere(name ?? '', args, options)
) {
  const home = await mkdtemp(path.join(tmpdir(), 'postern-chromium-'))
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--no-default-browser-check',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-extensions',
    '--hide-scrollbars',
    '--force-color-profile=srgb',
    '--remote-debugging-pipe',
    `--user-data-dir=${home}`,
    'about:blank'
  ]
  const env = { ...process.env, HOME: home, XDG_CACHE_HOME: home, XDG_CONFIG_HOME: home, XDG_RUNTIME_DIR: home }
  const child = spawn([program, ...flags], { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'], env })
  let stderr = ''
  child.stderr?.on('data', (data) => (stderr = `${stderr}${data}`.slice(-4000)))
  const [, , , input, output] = child.stdio
  const ended = once(child, 'exit')
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const waiting = new Map()
  /** @type {Map<string, (method: string, params: any) => void>} */
  const listeners = new Map()
  void ended.then(() => {
    for (const { reject } of waiting.values()) reject(new Error(`Chromium ended: ${stderr}`))
  })
  let partial = ''
  output.setEncoding('utf8').on('data', (/** @type {string} */ data) => {
    const parts = (partial + data).split('\0')
    partial = parts.pop() ?? ''
    for (const part of parts) {
      const { id, method, params, result, error, sessionId } = JSON.parse(part)
      if (id === undefined) listeners.get(sessionId)?.(method, params)
      else if (error) waiting.get(id)?.reject(new Error(error.message))
      else waiting.get(id)?.resolve(result)
      if (id !== undefined) waiting.delete(id)
    }
  })
  input.on('error', () => undefined)
  let last = 0
  const send = (method, params = {}, sessionId) =>
    new Promise((resolve, reject) => {
      last++
      waiting.set(last, { resolve, reject })
      input.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`)
    })

  async function tab() {
    const { browserContextId } = await send('Target.createBrowserContext')
    const { targetId } = await send('Target.createTarget', { url: 'about:blank', browserContextId })
    const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true })
    const complaints = []
    const requests = []
    let loaded = Promise.withResolvers()
    listeners.set(sessionId, (method, params) => {
      if (method === 'Page.loadEventFired') loaded.resolve(undefined)
      if (method === 'Runtime.exceptionThrown')
        complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text)
      if (method === 'Log.entryAdded') complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`)
      if (method === 'Network.requestWillBeSent') requests.push(params.request.url)
    })
    const ask = (method, params) => send(method, params, sessionId)
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await ask(`${domain}.enable`)
    const evaluate = async (expression) => {
      const { result, exceptionDetails } = await ask('Runtime.evaluate', {
        expression,
        awaitPromise: true,
        returnByValue: true
      })
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      return result.value
    }
    return {
      send: ask,
      complaints,
      requests,
      evaluate,
      async open(url) {
        loaded = Promise.withResolvers()
        await ask('Page.navigate', { url })
        await loaded.promise
      },
      async downloadTo(downloadPath) {
        await send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath, browserContextId })
      },
      async until(expression, timeoutMs = 20_000) {
        const endMs = performance.now() + timeoutMs
        for (;;) {
          const value = await evaluate(expression)
          if (value) return value
          if (performance.now() > endMs)
            throw new Error(`not within ${timeoutMs} ms: ${expression}\n${await evaluate('document.body.innerText')}`)
          await sleep(25)
        }
      },
      async press(key) {
        const text = key === 'Space' ? ' ' : key === 'Enter' ? '\r' : key.length === 1 ? key : undefined
        const codes = { Tab: 9, Enter: 13, Space: 32 }
        const event = {
          key: key === 'Space' ? ' ' : key,
          code: key,
          windowsVirtualKeyCode: codes[key] ?? key.toUpperCase().charCodeAt(0)
        }
        await ask('Input.dispatchKeyEvent', { type: 'keyDown', ...event, ...(text === undefined ? {} : { text }) })
        await ask('Input.dispatchKeyEvent', { type: 'keyUp', ...event })
      },
      async resize(width, height, scheme = 'light', motion) {
        await ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })
        const features = [
          { name: 'prefers-color-scheme', value: scheme },
          { name: 'prefers-reduced-motion', value: motion ?? '' }
        ]
        await ask('Emulation.setEmulatedMedia', { features })
      },
      async shoot(isWhole = false) {
        const { data } = await ask('Page.captureScreenshot', { format: 'png', captureBeyondViewport: isWhole })
        return Buffer.from(data, 'base64')
      }
    }
  }

  return {
    tab,
    async close() {
      await Promise.race([send('Browser.close').catch(() => undefined), sleep(3000)])
      child.kill('SIGKILL')
      await ended
      await rm(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    }
  }
}
