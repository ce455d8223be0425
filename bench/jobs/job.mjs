// The frame of every job: a program in a host of a lab that times calls in its own process, and prints each time as a
// line of
// JSON. After each it waits for a line on standard input, so that the rules of the router can be checked meanwhile.
import { createInterface } from 'node:readline'

/**
 * @template T
 * @param {{
 *   prepare?: (port: number) => Promise<T>,
 *   call: (port: number, prepared: T) => Promise<unknown>,
 *   end?: (prepared: T) => Promise<unknown>
 * }} parts - only `call` is timed. `prepare` resolves with the argument of `call`, and `end` releases everything.
 */
export async function runJob({ prepare = async () => ({}), call, end = async () => {} }) {
  const [firstPort, calls] = process.argv.slice(-2).map(Number)
  const goOn = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  process.on('uncaughtException', (error) => {
    tell({ failure: `crashes: ${textOf(error)}` })
    process.exit(1)
  })

  for (let port = firstPort; port < firstPort + calls; port++) {
    const prepared = await prepare(port)
    const startedMs = performance.now()
    try {
      await call(port, prepared)
      tell({ port, ms: performance.now() - startedMs })
    } catch (error) {
      tell({ port, failure: textOf(error) })
    }
    await goOn.next()
    await end(prepared)
  }
  process.exit()
}

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

const textOf = (error) => String(error?.message ?? error).split('\n')[0]
