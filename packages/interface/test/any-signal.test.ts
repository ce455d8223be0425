import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { anySignal } from '../src/index.js'

it('anySignal aborts with the first of its sources, and with the same reason', () => {
  const [first, second] = [new AbortController(), new AbortController()]
  const any = anySignal([first.signal, anySignal([second.signal])])
  expect(any.aborted).toBe(false)
  second.abort('second')
  expect([any.aborted, any.reason]).toEqual([true, 'second'])
  expect(anySignal([first.signal, second.signal]).reason).toBe('second')
})

it('anySignal keeps an abort after its source was garbage-collected', async () => {
  const url = new URL('../dist/index.js', import.meta.url).href
  const program = `
    import { anySignal } from ${JSON.stringify(url)}
    const follow = () => {
      const cut = new AbortController()
      const any = anySignal([new AbortController().signal, cut.signal])
      return { any, abort: () => cut.abort() }
    }
    const all = []
    for (let index = 0; index < 50; index++) {
      const { any, abort } = follow()
      all.push(any)
      abort()
    }
    await new Promise((resolve) => setImmediate(resolve))
    gc()
    console.log(all.filter(({ aborted }) => !aborted).length)`
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, ['--expose-gc', '--input-type=module', '--eval', program])
  expect(stdout).toBe('0\n')
})
