import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { call, scene } from './scene.js'
import { createWorld, newKey, secret } from './world.js'

/** Opens a world with these options, and resolves with the error of its first forward, or with `granted`. */
async function outcome(...[options]: Parameters<typeof scene>): Promise<unknown> {
  const { forward } = await scene(options)
  return forward().then(
    () => 'granted',
    (error: unknown) => error
  )
}

describe('the host key', () => {
  const known = async (line: (own: string) => string): Promise<{ readonly result: unknown; readonly file: string }> => {
    const world = await createWorld()
    const file = world.file('known_hosts', `# a comment\n${line(world.knownLine)}\n`)
    const { hostKey: _pin, ...rest } = world.options
    const { forward } = await scene({ world: { ...world, options: { ...rest, knownHosts: file } } })
    const result = await forward().then(
      () => 'granted',
      (error: unknown) => error
    )
    expect(world.logins()).toBe(result === 'granted' ? 1 : 0)
    await world.close()
    return { result, file }
  }

  it('is accepted if known_hosts has it', async () => {
    expect((await known((line) => line)).result).toBe('granted')
    expect((await known((line) => `${line} me@here`)).result).toBe('granted')
  })

  it('is accepted if known_hosts has the host without its port, as ssh does', async () => {
    expect((await known((line) => line.replace(/^\[(.*)\]:\d+/, '$1'))).result).toBe('granted')
  })

  it('is refused if the host is unknown, with its fingerprint and what to run', async () => {
    const { result } = await known(() => '')
    expect(result).toMatchObject({
      code: 'UNTRUSTED_REPLY',
      message: expect.stringMatching(
        /SHA256:[\w+/]{43}, which is not known here.*`ssh -p \d+ 127\.0\.0\.1`.*ssh-keyscan -p/
      )
    })
  })

  it('is refused if it has changed, with the file and the line', async () => {
    const { result, file } = await known((line) => line.replace(/ \S+$/, ` ${newKey().public.split(' ')[1] ?? ''}`))
    expect(result).toMatchObject({
      code: 'UNTRUSTED_REPLY',
      message: expect.stringMatching(/another host may answer in its place.*ssh-keygen -R "\[127\.0\.0\.1\]:\d+"/)
    })
    expect((result as Error).message).toContain(`${file}:2`)
  })

  it('is refused if it is revoked, although another line has it', async () => {
    const { result, file } = await known((line) => `${line}\n@revoked * ${line.replace(/^\S+ /, '')}`)
    expect(result).toMatchObject({ code: 'UNTRUSTED_REPLY', message: expect.stringContaining(`${file}:3`) })
  })

  it('is refused if known_hosts cannot be read', async () => {
    const world = await createWorld()
    mkdirSync(join(world.folder, 'folder'))
    const { hostKey: _pin, ...rest } = world.options
    const options = { ...rest, knownHosts: join(world.folder, 'folder') }
    expect(await outcome({ world: { ...world, options } })).toMatchObject({ code: 'UNTRUSTED_REPLY' })
    await world.close()
  })

  it('is refused if it is not the pinned one', async () => {
    const hostKey = `SHA256:${'a'.repeat(43)}`
    expect(await outcome({ hostKey })).toMatchObject({
      code: 'UNTRUSTED_REPLY',
      message: expect.stringContaining(`\`hostKey\` names ${hostKey}`)
    })
  })

  it('is accepted at first use if asked, and not another one after that', async () => {
    const world = await createWorld()
    const { hostKey: _pin, ...rest } = world.options
    const options = { ...rest, knownHosts: join(world.folder, 'none'), trustOnFirstUse: true }
    const { forward } = await scene({ world: { ...world, options } })
    await (await forward()).release(call())
    const { port = 0 } = world.options
    await world.close()

    const impostor = await createWorld(port)
    await expect(forward()).rejects.toMatchObject({
      code: 'UNTRUSTED_REPLY',
      message: expect.stringContaining('which it had at first')
    })
    expect(impostor.logins()).toBe(0)
    await impostor.close()
  })

  it('that is refused gets no password', async () => {
    let isAsked = false
    const password = async (): Promise<string> => {
      isAsked = true
      return secret
    }
    const options = { hostKey: `SHA256:${'a'.repeat(43)}`, keyFile: undefined as never, password }
    expect(await outcome(options)).toMatchObject({ code: 'UNTRUSTED_REPLY' })
    expect(isAsked).toBe(false)
  })
})

describe('the login', () => {
  const withPassword = async (
    answer: string,
    methods: readonly ('publickey' | 'password' | 'keyboard-interactive')[]
  ): Promise<{ readonly results: readonly unknown[]; readonly asked: number }> => {
    let asked = 0
    const password = async (): Promise<string> => {
      asked += 1
      return answer
    }
    const { world, forward } = await scene({ keyFile: undefined as never, password })
    world.behaviour.methods = methods
    const attempt = async (): Promise<unknown> => {
      try {
        await (await forward()).release(call())
        return 'granted'
      } catch (error) {
        return error
      }
    }
    return { results: [await attempt(), await attempt()], asked }
  }

  it.each(['password', 'keyboard-interactive'] as const)(
    'takes the password by %s, and asks for it once',
    async (method) => {
      expect(await withPassword(secret, [method])).toEqual({ results: ['granted', 'granted'], asked: 1 })
    }
  )

  it.each(['password', 'keyboard-interactive'] as const)(
    'with a wrong password by %s is refused, and the next one asks again',
    async (method) => {
      const refused = {
        code: 'NOT_AUTHORIZED',
        message: expect.stringMatching(
          /tried the password.*it takes.*: check the user name and the password$/
        ) as unknown
      }
      const { results, asked } = await withPassword('wrong', [method])
      expect(results).toMatchObject([refused, refused])
      expect(asked).toBe(2)
    }
  )

  it('is refused if the password is not given', async () => {
    const password = (): Promise<string> => Promise.reject(new Error('cancelled'))
    expect(await outcome({ keyFile: undefined as never, password })).toMatchObject({
      code: 'NOT_AUTHORIZED',
      message: expect.stringContaining('cancelled')
    })
  })

  it('names what was tried, and what the server takes, if a key is refused', async () => {
    const world = await createWorld()
    const keyFile = world.file('other', newKey().private)
    expect(await outcome({ world, keyFile })).toMatchObject({
      code: 'NOT_AUTHORIZED',
      message: expect.stringMatching(/tried the key .*other; it takes publickey, password.*authorized_keys of me/)
    })
    await world.close()
  })

  it('says why a named key is left out, and goes on with the next one', async () => {
    const world = await createWorld()
    const [missing, broken] = [join(world.folder, 'missing'), world.file('broken', 'not a key')]
    expect(await outcome({ world, keyFile: [missing, broken] })).toMatchObject({
      code: 'NOT_AUTHORIZED',
      message: expect.stringMatching(/no key or password to try; .*missing cannot be read.*; .*broken cannot be used/)
    })
    expect(await outcome({ world, keyFile: [missing, broken, String(world.options.keyFile)] })).toBe('granted')
    await world.close()
  })

  it('opens an encrypted key with its passphrase, and says what to do without it', async () => {
    const world = await createWorld()
    const keyFile = world.file('encrypted', world.encryptedKey)
    expect(await outcome({ world, keyFile, passphrase: secret })).toBe('granted')
    expect(await outcome({ world, keyFile, passphrase: 'wrong' })).toMatchObject({
      code: 'NOT_AUTHORIZED',
      message: expect.stringContaining('encrypted cannot be used')
    })
    expect(await outcome({ world, keyFile })).toMatchObject({
      code: 'NOT_AUTHORIZED',
      message: expect.stringMatching(/encrypted is encrypted: run `ssh-add .*encrypted`/)
    })
    await world.close()
  })

  it('goes on with the key if the agent does not answer', async () => {
    const world = await createWorld()
    expect(await outcome({ world, agent: join(world.folder, 'no-agent') })).toBe('granted')
    const agent = join(world.folder, 'no-agent')
    expect(await outcome({ world, agent, keyFile: undefined as never })).toMatchObject({ code: 'NOT_AUTHORIZED' })
    await world.close()
  })

  it('without any way to log in says what to do', async () => {
    const world = await createWorld()
    const { keyFile: _key, ...options } = world.options
    const { HOME } = process.env
    process.env['HOME'] = world.folder
    try {
      expect(await outcome({ world: { ...world, options: { ...options, agent: false } } })).toMatchObject({
        code: 'NOT_AUTHORIZED',
        message: expect.stringMatching(/no key or password to try.*ssh-add/)
      })
    } finally {
      process.env['HOME'] = HOME
    }
    await world.close()
  })
})

it('without ssh2, forward rejects with UNSUPPORTED and how to install it', () => {
  const modules = join(
    import.meta.dirname,
    '..',
    '..',
    '..',
    'node_modules',
    '.cache',
    `postern-no-ssh2-${process.pid}`
  )
  const copy = join(modules, 'node_modules', '@postern')
  mkdirSync(copy, { recursive: true })
  try {
    const packages = join(import.meta.dirname, '..', '..')
    for (const name of ['interface', 'net', 'ssh'])
      for (const part of ['dist', 'package.json'])
        cpSync(join(packages, name, part), join(copy, name, part), { recursive: true })
    const program = `
      import { ssh } from '@postern/ssh'
      import { systemClock } from '@postern/interface'
      const log = { debug() {}, info() {} }
      const controller = new AbortController()
      const endpoint = { protocol: 'tcp', family: 4, address: '127.0.0.1', port: 1 }
      ssh({ host: '127.0.0.1', username: 'me' })({ clock: systemClock, random: Math.random, log }).discover(
        { gateways: [], addresses: [] },
        (found) => found.forward({ endpoint, suggestedExternalPort: 1 }, controller)
          .catch(({ code, message }) => console.log(code, message)).finally(() => controller.abort()),
        controller
      )`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      cwd: modules,
      encoding: 'utf8'
    })
    expect(output).toBe('UNSUPPORTED the strategy ssh needs the package ssh2: run `npm install ssh2`\n')
  } finally {
    rmSync(modules, { recursive: true, force: true })
  }
})
