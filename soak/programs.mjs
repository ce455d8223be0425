import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const cli = fileURLToPath(new URL('../packages/cli/bin/postern.js', import.meta.url))
const home = fileURLToPath(new URL('home.mjs', import.meta.url))

/** Starts a program in a host that prints JSON lines. Ctrl-C at the terminal must not reach it: it is still to be
 * examined. */
function start(lab, host, args) {
  const child = lab.spawn(host, [process.execPath, ...args], { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const closed = once(child, 'close').catch(() => undefined)
  const waiting = []
  let errors = ''
  child.stdin.on('error', () => undefined)
  child.stderr.on('data', (text) => {
    errors = (errors + String(text)).slice(-2000)
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    let value
    try {
      value = JSON.parse(line)
    } catch {
      return
    }
    for (const each of waiting.splice(0)) if (!each(value)) waiting.push(each)
  })
  return {
    child,
    closed,
    errors: () => errors,
    /** Resolves with the next line that has this field. Rejects when the program ends, or after this many
     * milliseconds. */
    async next(name, timeoutMs) {
      const { promise, resolve, reject } = Promise.withResolvers()
      waiting.push((value) => {
        if (!(name in value)) return false
        resolve(value)
        return true
      })
      const late = setTimeout(
        () => reject(new Error(`${host} did not say ${name} in ${timeoutMs} ms. ${errors}`)),
        timeoutMs
      )
      void closed.then(() => reject(new Error(`the program of ${host} has ended. ${errors}`)))
      return promise.finally(() => clearTimeout(late))
    },
    say: (text) => child.stdin.write(`${text}\n`)
  }
}

/** Starts `postern relay` with the key in this file: a relay and a witness. Its multiaddr is the same each time. */
export async function startPeer(lab, host, key) {
  const address = `/ip4/${lab.address(host)}/tcp/4001`
  const program = start(lab, host, [cli, 'relay', '--listen', address, '--announce', address, '--key', key, '--json'])
  const { addresses } = await program.next('addresses', 20_000)
  return { ...program, address: addresses.find((each) => each.startsWith(`${address}/p2p/`)) ?? addresses[0] }
}

export async function startHome(lab, peers) {
  const program = start(lab, 'home', ['--expose-gc', home, JSON.stringify(peers)])
  await program.next('ready', 30_000)
  return {
    ...program,
    async measure() {
      const told = program.next('heapMb', 20_000)
      program.say('measure')
      return told
    },
    meet: () => program.say('meet'),
    /** Resolves with how long the stop took, and whether the process then ended by itself. */
    async stop() {
      const told = program.next('stoppedMs', 30_000)
      program.child.stdin.end()
      const { stoppedMs } = await told
      const late = new Promise((resolve) => setTimeout(resolve, 5000, false).unref())
      const endedByItself = await Promise.race([program.closed.then(() => true), late])
      if (!endedByItself) program.child.kill('SIGKILL')
      return { stoppedMs, endedByItself }
    }
  }
}
