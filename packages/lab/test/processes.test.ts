import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Lab } from '../src/index.js'
import { canDelay, canRunLab, openLab } from '../src/index.js'
import { call, cli } from './support/cli.js'

const support = await canRunLab()
const delays = await canDelay()

/** Returns the processes of this machine with the marker in their command line. */
async function processesWith(marker: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes(marker)) found.push(command)
  }
  return found
}

const unique = (): string => `marker-${process.pid}-${Math.random().toString(36).slice(2)}`

describe.skipIf(!support.ok)(
  `processes${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 15_000 },
  () => {
    let lab: Lab
    beforeAll(async () => {
      lab = await openLab('no-daemon')
    })
    afterAll(() => lab.close())

    it('a command gets input, environment, working directory and tools, and returns output and exit code', async () => {
      const script = 'cat; echo "$GREETING $PWD $(command -v nft)"; echo oops >&2; exit 7'
      const options = { input: 'in\n', env: { GREETING: 'hello' }, cwd: '/usr' }
      const { code, signal, stdout, stderr } = await lab.run('home', ['sh', '-c', script], options)
      expect({ code, signal, stderr }).toEqual({ code: 7, signal: null, stderr: 'oops\n' })
      expect(stdout).toMatch(/^in\nhello \/usr \/.+\/nft\n$/)
    })

    it('a command sees the interfaces and routes of its host', async () => {
      const { stdout } = await lab.run('router', ['sh', '-c', 'ls /sys/class/net; cut -f1 /proc/net/route'])
      expect(stdout.match(/^(lan|wan|eth\d)$/gm)).toEqual(expect.arrayContaining(['lan', 'wan']))
    })

    it('a command ends with SIGTERM after a timeout or an abort', async () => {
      const sleep = ['sleep', '100']
      expect(await lab.run('home', sleep, { timeoutMs: 50 })).toMatchObject({ code: null, signal: 'SIGTERM' })
      await expect(lab.run('home', sleep, { signal: AbortSignal.timeout(50) })).rejects.toThrow('abort')
    })

    it('a command ends with SIGKILL and with its lab, and reports the signal', async () => {
      const other = await openLab('no-daemon')
      const children = [0, 1].map(() => other.spawn('home', ['sh', '-c', 'trap "" TERM; echo up; sleep 100']))
      await Promise.all(children.flatMap(({ stdout }) => (stdout === null ? [] : [once(stdout, 'data')])))
      const ends = Promise.all(children.map((child) => once(child, 'close')))
      children[0]?.kill('SIGKILL')
      const start = performance.now()
      await other.close()
      expect(performance.now() - start).toBeLessThan(500)
      expect(await ends).toEqual([
        [null, 'SIGKILL'],
        [null, 'SIGKILL']
      ])
    })

    it('a missing command fails with a message', async () => {
      expect(await lab.run('home', ['/no/such/program'])).toMatchObject({
        code: 127,
        stderr: expect.stringContaining('/no/such/program') as string
      })
      expect(await lab.run('home', ['true'], { cwd: '/no/such/folder' })).toMatchObject({
        code: 126,
        stderr: expect.stringContaining('/no/such/folder') as string
      })
    })

    it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
      'a command receives %s, even if it is sent immediately',
      async (name) => {
        const program = `process.on('${name}', () => { console.log('got it'); process.exit(3) }); console.log('ready'); setInterval(() => {}, 1000)`
        const child = lab.spawn('home', [process.execPath, '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
        let output = ''
        child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
          if ((output += chunk) === 'ready\n') child.kill(name)
        })
        expect(await once(child, 'close')).toEqual([3, null])
        expect(output).toBe('ready\ngot it\n')

        const hasty = lab.spawn('home', ['sleep', '100'])
        hasty.kill(name)
        expect(await once(hasty, 'close')).toEqual([null, name])
      }
    )

    it('a command dies with the program outside that waits for it', async () => {
      const marker = unique()
      const child = lab.spawn('home', ['sh', '-c', `sleep 100 # ${marker}\ntrue`])
      await expect.poll(() => processesWith(marker)).toHaveLength(2) // it and the shell outside that waits for it
      process.kill(child.pid as number, 'SIGKILL')
      await expect.poll(() => processesWith(marker), { timeout: 5000 }).toEqual([])
    })

    it('all processes of a lab end after kill -9 of the process that opened it', async () => {
      const marker = unique()
      const program = `
      import { openLab } from '${path.join(import.meta.dirname, '..', 'dist', 'index.js')}'
      const lab = await openLab('home')
      await lab.delay('router', 1).catch(() => {}) // where it can be had, its forwarder is to go too
      lab.spawn('home', ['sh', '-c', 'sleep 100 & setsid sleep 100 & wait # ${marker}'])
      await lab.run('home', ['sh', '-c', '(sleep 1000; exit) > /dev/null 2>&1 & # ${marker}'])
      console.log((await lab.run('router', ['readlink', '/proc/self/ns/pid'])).stdout)`
      const opener = spawn(process.execPath, ['--input-type=module', '-e', program], {
        stdio: ['ignore', 'pipe', 'inherit']
      })
      const [text] = (await once(opener.stdout, 'data')) as [Buffer]
      const namespace = text.toString().trim()
      expect(namespace).toMatch(/^pid:\[\d+\]$/)
      const inside = async (): Promise<string[]> => {
        const { stdout } = await new Promise<{ stdout: string }>((resolve, reject) => {
          const list = spawn('sh', ['-c', 'for p in /proc/[0-9]*; do readlink $p/ns/pid; done 2> /dev/null'])
          let listed = ''
          list.stdout.on('data', (chunk) => (listed += String(chunk)))
          list.on('error', reject).on('close', () => resolve({ stdout: listed }))
        })
        return stdout.split('\n').filter((line) => line === namespace)
      }
      expect((await inside()).length).toBeGreaterThan(4) // the first process, the daemon, the shells, the sleeps
      opener.kill('SIGKILL')
      await expect.poll(inside, { timeout: 5000 }).toEqual([])
      await expect.poll(() => processesWith(marker), { timeout: 5000 }).toEqual([])
    })

    it('an unclosed lab does not keep a program alive', async () => {
      const program = `
      import { openLab } from '${path.join(import.meta.dirname, '..', 'dist', 'index.js')}'
      const lab = await openLab('no-daemon')
      await lab.delay('router', 1).catch(() => {})`
      const opener = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' })
      expect(await once(opener, 'exit')).toEqual([0, null])
    })

    it('a program ends after it has closed a lab with a delay', async () => {
      const program = `
      import { openLab } from '${path.join(import.meta.dirname, '..', 'dist', 'index.js')}'
      for (const _ of [1, 2, 3]) {
        await using lab = await openLab('no-daemon')
        await lab.delay('router', 1).catch(() => {})
      }`
      const opener = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' })
      // An exit code of 13 would mean that the program waits for a promise that never settles.
      expect(await once(opener, 'exit')).toEqual([0, null])
    })

    it('an aborted openLab leaves no process', async () => {
      await expect(openLab('home', { signal: AbortSignal.abort() })).rejects.toThrow('aborted')
      const abort = new AbortController()
      const opening = openLab('home', { signal: abort.signal })
      setTimeout(() => abort.abort(), 30)
      await expect(opening).rejects.toThrow('aborted')
    })

    it("a command uses the caller's PATH before that of the system", async () => {
      const here = path.dirname(process.execPath)
      const env = { PATH: `${here}:${process.env['PATH'] ?? ''}` }
      expect((await lab.run('home', ['node', '-p', 'process.execPath'], { env })).stdout.trim()).toBe(process.execPath)
    })

    it('several labs at the same time are independent', async () => {
      const labs = await Promise.all(['home', 'home', 'symmetric'].map((name) => openLab(name as 'home')))
      const namespaces = await Promise.all(
        labs.map(async (each) => (await each.run('home', ['readlink', '/proc/self/ns/net'])).stdout)
      )
      expect(new Set(namespaces).size).toBe(3)
      await Promise.all(labs.map((each) => each.close()))
    })
  }
)

describe.skipIf(!support.ok)(
  `postern-lab${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 15_000 },
  () => {
    it('postern-lab lists and shows topologies', async () => {
      expect((await call('list')).stdout).toMatch(/^home-upnp +A home router/m)
      expect(JSON.parse((await call('list', '--json')).stdout)).toContainEqual(
        expect.objectContaining({ name: 'symmetric' })
      )
      expect((await call('show', 'double-nat')).stdout).toContain('10.0.0.2/24')
      expect((await call('show', 'home', '--peers')).stdout).toContain('21.0.0.1/8')
      expect((await call('show', 'home-and-carrier', '--stun')).stdout).toMatch(/isp2 .*\n.*\n.*STUN, with behaviour/)
    })

    it('postern-lab run --peers runs a command on a public peer', async () => {
      const route = ['ip', '-4', 'route', 'get', '31.0.0.1']
      const result = await call('run', 'home', '--peers', '--host', 'alpha', '--', ...route)
      expect(result).toMatchObject({ code: 0, stdout: expect.stringContaining('src 21.0.0.1') as string })
      expect(await call('run', 'home', '--host', 'alpha', '--', 'true')).toMatchObject({ code: 2 })
    })

    it.skipIf(!delays.ok)(
      `delays the links of both homes${delays.ok ? '' : ` (skipped: ${delays.reason})`}`,
      async () => {
        const program = `
        const start = performance.now()
        require('node:net').connect(80, '12.0.0.2').on('error', ({ code }) => console.log(code, performance.now() - start >= 80))`
        const command = ['--', process.execPath, '-e', program]
        const result = await call('run', 'open-and-open', '--delay', '20', '--host', 'home', ...command)
        expect(result).toMatchObject({ code: 0, stdout: 'ECONNREFUSED true\n' })
        expect(await call('run', 'home', '--delay', 'much', '--', 'true')).toMatchObject({ code: 2 })
      }
    )

    it('postern-lab run runs a command with its options in a host and returns its exit code', async () => {
      const result = await call(
        'run',
        'home',
        '--host',
        'router',
        '--',
        'sh',
        '-c',
        'ip -4 -o addr show wan; exit 5',
        '-x'
      )
      expect(result).toMatchObject({ code: 5, stderr: '' })
      expect(result.stdout).toContain('11.0.0.2/24')
    })

    it('postern-lab join runs a command in a lab of another process', async () => {
      await using lab = await openLab('home')
      const join = (...args: string[]): ReturnType<typeof call> => call('join', String(lab.pid), ...args)
      const address = await join('--host', 'router', '--', 'sh', '-c', 'ip -4 -o addr show wan; exit 5')
      expect(address).toMatchObject({ code: 5, stdout: expect.stringContaining('11.0.0.2/24') as string })
      expect(await join('--', 'true')).toMatchObject({ code: 0, stderr: '' })
      expect(await join('--host', 'castle', '--', 'true')).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('home') as string
      })
      expect(await call('join', String(process.pid), '--', 'true')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('postern-lab run') as string
      })
      expect(await call('join', 'much', '--', 'true')).toMatchObject({ code: 2 })
    })

    it('postern-lab exits with 2 and lists the names for an unknown name', async () => {
      const wrong = await call('run', 'castle', '--', 'true')
      expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('home-igd1') as string })
      expect(await call('run', 'home', '--host', 'moat', '--', 'true')).toMatchObject({ code: 2 })
      expect(await call('run', 'home', '--frob')).toMatchObject({ code: 2 })
      expect((await call('--help')).code).toBe(0)
    })

    it.each(['SIGINT', 'SIGTERM'] as const)(
      'postern-lab run forwards %s to the command and leaves nothing behind',
      async (name) => {
        const marker = unique()
        const program = `process.on('${name}', () => { console.log('released'); process.exit(0) }); console.log('up'); setInterval(() => {}, 1000) // ${marker}`
        const child = spawn(process.execPath, [cli, 'run', 'home', '--', process.execPath, '-e', program], {
          stdio: ['ignore', 'pipe', 'inherit']
        })
        let output = ''
        child.stdout.on('data', (chunk) => {
          if ((output += String(chunk)) === 'up\n') child.kill(name)
        })
        expect(await once(child, 'close')).toEqual([0, null])
        expect(output).toBe('up\nreleased\n')
        expect(await processesWith(marker)).toEqual([])
      }
    )
  }
)
