import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { canRunLab, startSshd } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { openPlace } from './in-lab.js'

const support = await canRunLab()
const skipped = support.ok ? '' : ` (skipped: ${support.reason})`
const port = 7001
const address = `/ip4/21.0.0.1/tcp/${port}`

describe.skipIf(!support.ok)(`against OpenSSH${skipped}`, { timeout: 120_000 }, () => {
  it.each(['home', 'no-daemon', 'carrier-nat', 'double-nat', 'symmetric', 'silent'] as const)(
    '%s: a server at home is reached from outside, and knows the client',
    async (name) => {
      const { home, outside } = await openPlace(name)
      const { ask } = await home()
      const { port: local } = await ask('listen', { application: 'hash' })
      expect(await ask('forward', { port: local, suggested: port })).toMatchObject({
        addresses: [address],
        lifetimeMs: 600_000
      })
      const { answer, hash, self } = await outside('hash', port, 8_000_000)
      expect(answer).toEqual({ hash, client: self })
      expect(await ask('renew', { id: 0 })).toEqual({ addresses: [address], lifetimeMs: 600_000 })
      await ask('release', { id: 0 })
      expect(await outside('reach', port)).toMatchObject({ failed: { code: 'ECONNREFUSED' } })
    }
  )

  it('8 MB arrive whole, both ways at once, and two endpoints share one session', async () => {
    const { home, outside, sshd } = await openPlace('home')
    const { ask } = await home()
    const { port: one } = await ask('listen', { application: 'echo' })
    const { port: other } = await ask('listen', { application: 'hash' })
    await Promise.all([
      ask('forward', { port: one, suggested: port }),
      ask('forward', { port: other, suggested: port + 1 })
    ])
    expect(await outside('echo', port, 8_000_000)).toEqual({ isSame: true, length: 8_000_000 })
    const { answer, hash } = await outside('hash', port + 1, 8_000_000)
    expect(answer).toMatchObject({ hash })
    expect(sshd.log().match(/Accepted publickey/g)).toHaveLength(1)
  })

  it('a server that does not read costs less than 20 MB for each connection', async () => {
    const { home, starts } = await openPlace('home')
    const { ask } = await home()
    const { port: local } = await ask('listen', { application: 'stall' })
    await ask('forward', { port: local, suggested: port })
    const { rss: before } = await ask('rss')
    const floods = [await starts('flood', port), await starts('flood', port), await starts('flood', port)]
    for (const { first } of floods) expect(Number(first['sent'])).toBeLessThan(40_000_000)
    const { rss: after } = await ask('rss')
    expect(Number(after) - Number(before)).toBeLessThan(floods.length * 20_000_000)
  })

  it.each(['no', 'yes'] as const)('GatewayPorts %s: what is granted is what works', async (gatewayPorts) => {
    const { home } = await openPlace('home', { gatewayPorts })
    const { ask } = await home()
    const { port: local } = await ask('listen', { application: 'hash' })
    const granted = await ask('forward', { port: local, suggested: port })
    if (gatewayPorts === 'yes') expect(granted).toMatchObject({ addresses: [address] })
    else
      expect(granted.failed).toEqual({
        code: 'GRANT_INVALID',
        message: expect.stringContaining('Add `GatewayPorts clientspecified` to /etc/ssh/sshd_config')
      })
  })

  it('a key with permitlisten opens that port and no other, and none below 1024', async () => {
    const { home } = await openPlace('home', {
      keyOptions: `restrict,port-forwarding,permitlisten="${port}",permitlisten="80"`
    })
    const { ask } = await home({ externalPort: port })
    const { port: local } = await ask('listen', { application: 'hash' })
    expect(await ask('forward', { port: local })).toMatchObject({ addresses: [address] })
    const { ask: another } = await home({ externalPort: port + 1 })
    expect((await another('forward', { port: local })).failed).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('PermitListen')
    })
    const { ask: low } = await home({ externalPort: 80 })
    expect((await low('forward', { port: local })).failed).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('only root may open ports below 1024')
    })
  })

  it('the host key: known, pinned, unknown, changed', async () => {
    const { home, sshd, lab, folder } = await openPlace('home')
    const trial = async (options: object): Promise<unknown> => {
      const { ask } = await home(options)
      const { port: local } = await ask('listen', { application: 'hash' })
      const { id, failed } = await ask('forward', { port: local, suggested: port })
      if (failed === undefined) await ask('release', { id })
      return failed ?? 'granted'
    }
    expect(await trial({})).toBe('granted')
    expect(await trial({ hostKey: sshd.fingerprint, knownHosts: '/nowhere' })).toBe('granted')
    await lab.run('home', ['ssh-keygen', '-q', '-H', '-f', sshd.knownHosts])
    expect(await trial({})).toBe('granted')
    expect(await trial({ knownHosts: '/nowhere' })).toMatchObject({
      code: 'UNTRUSTED_REPLY',
      message: expect.stringContaining(sshd.fingerprint)
    })
    expect(await trial({ knownHosts: '/nowhere', trustOnFirstUse: true })).toBe('granted')

    await sshd.kill()
    const other = await startSshd(lab, 'alpha', { folder: mkdtempSync(join(folder, 'other-')) })
    expect(await trial({})).toMatchObject({
      code: 'UNTRUSTED_REPLY',
      message: expect.stringMatching(/another host may answer in its place/)
    })
    expect(other.fingerprint).not.toBe(sshd.fingerprint)
    expect(other.log()).not.toContain('Accepted')
  })

  it('logs in with a key that only the agent has, and with an RSA host key', async () => {
    const { home, lab, sshd, folder } = await openPlace('home')
    await sshd.kill()
    const rsa = mkdtempSync(join(folder, 'rsa-'))
    await lab.run('home', ['ssh-keygen', '-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', join(rsa, 'host_key')])
    const other = await startSshd(lab, 'alpha', { folder: rsa })
    const socket = join(rsa, 'agent')
    const agent = lab.spawn('home', ['ssh-agent', '-D', '-a', socket], { stdio: 'ignore' })
    await lab.run('home', ['sh', '-c', `until [ -S ${socket} ]; do sleep 0.02; done; ssh-add -q ${other.keyFile}`], {
      env: { SSH_AUTH_SOCK: socket }
    })
    const { ask } = await home({ keyFile: undefined, agent: socket, knownHosts: other.knownHosts })
    const { port: local } = await ask('listen', { application: 'hash' })
    expect(await ask('forward', { port: local, suggested: port })).toMatchObject({ addresses: [address] })

    agent.kill()
    await other.kill()
    await other.start()
    // Its listener and the agent are gone, and the process of the strategy lives on.
    await lab.run('home', ['rm', '-f', socket])
    expect((await ask('forward', { port: local, suggested: port })).failed).toMatchObject({
      code: 'NOT_AUTHORIZED',
      message: expect.stringContaining(`tried the agent ${socket}; it takes publickey`)
    })
  })

  it('sshd is killed and started again: the same port with the first retry', async () => {
    const { home, sshd, outside, starts } = await openPlace('home')
    const { ask, event } = await home()
    const { port: local } = await ask('listen', { application: 'echo' })
    await ask('forward', { port: local, suggested: port })
    const { last } = await starts('stay', port)
    await sshd.kill()
    expect(await event('ended')).toMatchObject({ reason: { failed: { code: 'UNREACHABLE' } } })
    // The program at home must not take the cut for the end of a request.
    expect(await event('cut')).toMatchObject({ code: 'ECONNRESET' })
    expect(await last()).toEqual({ end: expect.stringMatching(/end|ECONNRESET/) })
    expect((await ask('forward', { port: local, suggested: port })).failed).toMatchObject({ code: 'REFUSED' })
    await sshd.start()
    expect(await ask('forward', { port: local, suggested: port })).toMatchObject({ addresses: [address] })
    expect(await outside('echo', port, 100_000)).toEqual({ isSame: true, length: 100_000 })
  })

  it('the program at home is killed: the next one has the same port at once', async () => {
    const { home } = await openPlace('home')
    const first = await home()
    const { port: local } = await first.ask('listen', { application: 'echo' })
    await first.ask('forward', { port: local, suggested: port })
    first.kill('SIGKILL')
    const second = await home({ externalPort: port })
    const { port: again } = await second.ask('listen', { application: 'echo' })
    expect(await second.ask('forward', { port: again })).toMatchObject({ addresses: [address] })
  })

  it('a silent outage is noticed, and the same port comes back after it', async () => {
    const { home, lab, outside } = await openPlace('home')
    const { ask, event } = await home({ keepAliveMs: 500 })
    const { port: local } = await ask('listen', { application: 'echo' })
    await ask('forward', { port: local, suggested: port })
    await lab.outageBegins('router')
    expect(await event('ended')).toMatchObject({ reason: { failed: { code: 'NO_REPLY' } } })
    expect((await ask('forward', { port: local, suggested: port, limitMs: 2000 })).failed).toBeDefined()
    await lab.outageEnds('router')
    let granted = await ask('forward', { port: local, suggested: port })
    // The old session still holds the port until its own end has got through.
    while (granted.failed?.code === 'CONFLICT') granted = await ask('forward', { port: local, suggested: port })
    expect(granted).toMatchObject({ addresses: [address] })
    expect(await outside('echo', port, 100_000)).toEqual({ isSame: true, length: 100_000 })
  })

  it('another address of ours: the old session holds the port, another one serves meanwhile, and then it comes back', async () => {
    const { home, lab, outside } = await openPlace('home', {
      lines: ['ClientAliveInterval 2', 'ClientAliveCountMax 2']
    })
    const { ask, event } = await home({ keepAliveMs: 300, externalPort: port, allowOtherPort: true })
    const { ask: strict } = await home({ externalPort: port })
    const { port: local } = await ask('listen', { application: 'echo' })
    await ask('forward', { port: local })
    await lab.outageBegins('router')
    await event('ended')
    await lab.changeWanAddress('router', '11.0.0.77')
    await lab.outageEnds('router')

    expect((await strict('forward', { port: local })).failed).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('ClientAliveInterval 15')
    })
    const substitute = await ask('forward', { port: local })
    expect(substitute).toMatchObject({ lifetimeMs: 60_000 })
    const [text = ''] = substitute['addresses'] as string[]
    expect(text).not.toBe(address)
    expect(await outside('echo', Number(text.split('/').at(-1)), 1000)).toMatchObject({ isSame: true })

    let renewed = await ask('renew', { id: substitute['id'] })
    while (renewed['lifetimeMs'] === 60_000) renewed = await ask('renew', { id: substitute['id'] })
    expect(renewed).toEqual({ addresses: [address], lifetimeMs: 600_000 })
    expect(await outside('echo', port, 1000)).toMatchObject({ isSame: true })
  })

  it('a stranger reaches the one port and no other of the home, through the server or without it', async () => {
    const { home, lab, outside, sshd } = await openPlace('home')
    const { ask } = await home()
    const { port: local } = await ask('listen', { application: 'echo' })
    const { port: hidden } = await ask('listen', { application: 'echo' })
    const { port: inLan } = await ask('listen', { application: 'echo', address: lab.address('home') })
    await ask('forward', { port: local, suggested: port })
    expect(await outside('reach', port)).toEqual({ reached: true })
    for (const closed of [local, hidden, inLan])
      expect(await outside('reach', Number(closed))).toMatchObject({ failed: { code: 'ECONNREFUSED' } })
    // What is opened on the server is what was asked for.
    const { stdout } = await lab.run('alpha', ['ss', '-Hltn'])
    const open = [...stdout.matchAll(/:(\d+)\s+\S+:\*/g)].map(([, digits]) => Number(digits))
    expect([...new Set(open)].toSorted((one, other) => one - other)).toEqual([sshd.port, port])
  })

  it('a port that another program has there is a conflict', async () => {
    const { home, lab } = await openPlace('home')
    const listen = `require('net').createServer().listen(${port}, () => console.log('up'))`
    const other = lab.spawn('alpha', [process.execPath, '-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((resolve) => other.stdout?.once('data', resolve))
    const { ask } = await home({ externalPort: port })
    const { port: local } = await ask('listen', { application: 'echo' })
    expect((await ask('forward', { port: local })).failed).toMatchObject({ code: 'CONFLICT' })
    other.kill('SIGKILL')
  })
})
