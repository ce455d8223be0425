// Times whole processes from inside a host of the lab, so that entering the lab does not count. Reads commands as lines
// of JSON, and answers each with a line of JSON: the time from the start of the process to its end.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

for await (const line of createInterface({ input: process.stdin })) {
  const { command, env, timeoutMs } = JSON.parse(line)
  console.log(JSON.stringify(await time(command, env, timeoutMs)))
}

function time([program, ...args], env, timeoutMs) {
  return new Promise((resolve) => {
    const startedMs = performance.now()
    const stdio = ['ignore', 'pipe', 'pipe']
    const child = spawn(program, args, { stdio, env: { ...process.env, ...env }, timeout: timeoutMs })
    let ms = 0
    let text = ''
    const take = (chunk) => {
      text = (text + chunk).slice(-2000)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.once('error', ({ message }) => resolve({ failure: message }))
    child.once('exit', () => {
      ms = performance.now() - startedMs
    })
    child.once('close', (code, signal) => resolve(signal === null ? { ms, code, text } : { timedOut: true, text }))
  })
}
