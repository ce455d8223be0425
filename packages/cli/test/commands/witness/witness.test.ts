import { withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { enter, posternIn, support, why } from '../../support/in-lab.js'
import { startWitness, two } from '../../support/witnesses.js'

const ask = (address: string): string => `
  fetch('http://21.0.0.1:4003/v1/verify', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': '41.0.0.1' },
    body: JSON.stringify({ protocol: 'tcp', address: '${address}', port: 4001, nonce: '000102030405060708090a0b' })
  }).then((reply) => reply.text()).then(console.log)`

describe.skipIf(!support.ok).concurrent(`postern witness${why}`, { timeout: 40_000 }, () => {
  it('witness prints its URL, counts in its metrics, and ends with exit code 0 at SIGINT', async () => {
    const lab = await enter(withPeers('home'))
    const running = await startWitness(lab, 'alpha', '--metrics', '9464')
    expect(running.told[0]).toEqual({
      event: 'listening',
      addresses: ['0.0.0.0:4003'],
      urls: ['http://21.0.0.1:4003']
    })
    await startWitness(lab, 'bravo')
    await posternIn(lab, ['doctor', '--json', ...two])
    const fetched = `fetch('http://127.0.0.1:9464/metrics').then((reply) => reply.text()).then(console.log)`
    const { stdout } = await lab.run('alpha', [process.execPath, '-e', fetched])
    expect(stdout).toContain('postern_witness_answers_total{answer="reached"} 1')
    expect(stdout).toContain('process_resident_memory_bytes')
    running.child.kill('SIGINT')
    expect(await running.ended).toBe(0)
    expect(running.told.at(-1)).toEqual({ event: 'stopped' })
  })

  it('witness dials no address for a client that names another one, in the request or in a header', async () => {
    const lab = await enter(withPeers('home'))
    await startWitness(lab, 'alpha')
    for (const address of ['41.0.0.1', '21.0.0.1', '127.0.0.1', '192.168.1.2']) {
      const { stdout } = await lab.run('home', [process.execPath, '-e', ask(address)])
      expect(JSON.parse(stdout)).toMatchObject({ error: 'address-differs', observed: '11.0.0.2' })
    }
    const local = await lab.run('alpha', [process.execPath, '-e', ask('21.0.0.1')])
    expect(JSON.parse(local.stdout)).toMatchObject({ error: 'address-not-allowed' })
  })

  it('witness believes the header of a proxy that was named', async () => {
    const lab = await enter(withPeers('home'))
    await startWitness(lab, 'alpha', '--trust-proxy', 'x-forwarded-for=11.0.0.0/24')
    const { stdout } = await lab.run('home', [process.execPath, '-e', ask('11.0.0.2')])
    expect(JSON.parse(stdout)).toMatchObject({ error: 'address-differs', observed: '41.0.0.1' })
  })

  it('witness says why it cannot listen', async () => {
    const lab = await enter(withPeers('home'))
    await startWitness(lab, 'alpha')
    const { code, stdout, stderr } = await posternIn(lab, ['witness'], 'alpha')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('✘ cannot listen on 0.0.0.0:4003: another program has the port.')
  })

  it('relay --witness is a witness server, too', async () => {
    const lab = await enter(withPeers('home'))
    const { command, folder } = await import('../../support/in-lab.js')
    const state = await folder()
    const key = ['--key', `${state}/relay.key`]
    const relay = command(lab, ['relay', '--json', ...key, '--witness', '4003', '--metrics', '9464'], state, 'alpha')
    expect(await relay.next('witness')).toEqual({ event: 'witness', port: 4003 })
    await startWitness(lab, 'bravo')
    const { stdout, code } = await posternIn(lab, ['doctor', ...two])
    expect(code).toBe(0)
    expect(stdout).toContain('Witness: http://21.0.0.1:4003: reached it from outside')
    const fetched = `fetch('http://127.0.0.1:9464/metrics').then((reply) => reply.text()).then(console.log)`
    const metrics = await lab.run('alpha', [process.execPath, '-e', fetched])
    expect(metrics.stdout).toContain('postern_witness_answers_total{answer="reached"} 1')
    relay.child.kill('SIGTERM')
    expect(await relay.ended).toBe(0)
  })
})
