import { expect, it } from 'vitest'
import { runTool } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/run-tool.js'

const call = { signal: new AbortController().signal }
const node = (script: string, signal = call.signal) => runTool(process.execPath, ['-e', script], { signal })

it('a program gives its output and its exit code, without a shell and without input', async () => {
  const script =
    'process.stdin.on("data", () => {}).on("end", () => { console.log("$HOME;" + process.env.LC_ALL); process.exitCode = 3 })'
  expect(await node(script)).toEqual({ code: 3, stdout: '$HOME;C\n', stderr: '' })
})

it('a program that is not installed gives nothing', async () => {
  expect(await runTool('/no/such/program', [], call)).toBeUndefined()
})

it('a program that prints without end is ended', async () => {
  const result = await node(
    'const more = () => { while (process.stdout.write("x".repeat(65536))); process.stdout.once("drain", more) }; more()'
  )
  expect(result?.code).toBeNull()
  expect(result?.stdout.length).toBeLessThanOrEqual(8 * 1024 * 1024)
})

it('a program is ended by the signal', async () => {
  const over = new AbortController()
  const running = node('setInterval(() => {}, 1000)', over.signal)
  over.abort()
  expect((await running)?.code).toBeNull()
})
