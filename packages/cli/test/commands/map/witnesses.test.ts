import { once } from 'node:events'
import { withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { command, enter, folder, posternIn, support, why } from '../../support/in-lab.js'
import { startWitness, two } from '../../support/witnesses.js'

const serverOn = (port: number): string =>
  `require('node:http').createServer().listen(${port}, () => console.log('listens'))`

describe.skipIf(!support.ok).concurrent(`postern map --witness${why}`, { timeout: 40_000 }, () => {
  it('map --witness verifies the port of another program by its connections in the table of the kernel', async () => {
    const lab = await enter(withPeers('home'))
    await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host)))
    const { stdout } = lab.spawn('home', [process.execPath, '-e', serverOn(8080)], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    if (stdout !== null) await once(stdout, 'data')
    const map = command(lab, ['map', '8080', '--json', ...two], await folder(), 'home')
    expect(await map.next('verified')).toMatchObject({ external: { address: '11.0.0.2', port: 8080 } })
    expect(await map.next('verdict')).toMatchObject({ verdict: 'public', cause: null })
    map.child.kill('SIGINT')
    expect(await map.ended).toBe(0)
  })

  it('map --once --witness exits with 0 for a port that is forwarded by hand, which no router maps', async () => {
    const lab = await enter(withPeers('forwarded'))
    await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host)))
    const { stdout } = lab.spawn('home', [process.execPath, '-e', serverOn(4001)], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    if (stdout !== null) await once(stdout, 'data')
    const done = await posternIn(lab, ['map', '4001', '--once', ...two])
    expect(done.code).toBe(0)
    expect(done.stdout).toContain('Verdict: public')
  })

  it('map --witness concludes nothing while no program listens on the port', async () => {
    const lab = await enter(withPeers('home'))
    await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host)))
    const { stdout, code } = await posternIn(lab, ['map', '8080', '--once', '--json', ...two])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ event: 'mapped', verdict: 'unknown' })
  })

  it('map --witness asks no witness about a UDP port, and says why', async () => {
    const lab = await enter(withPeers('home'))
    const { stdout, stderr, code } = await posternIn(lab, ['map', '8080/udp', '--once', '--json', ...two])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ event: 'mapped', verdict: 'public', cause: 'unverified' })
    expect(stderr).toContain('! no witness is asked: another program has udp port 8080')
  })
})
