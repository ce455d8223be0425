import { describe, expect, it } from 'vitest'
import { doctorReport, enter, posternIn, support, why } from './support/in-lab.js'

/** Binds the announcement ports without sharing them. */
const hog = `
  const { createSocket } = require('node:dgram')
  let open = 0
  for (const port of [1900, 5350]) createSocket('udp4').bind(port, () => ++open === 2 && console.log('ready'))
  setTimeout(() => {}, 60000)
`

describe.skipIf(!support.ok)(`ports that another program has${why}`, { timeout: 30_000 }, () => {
  it('taken announcement ports are reported once by every strategy, and delay nothing', async () => {
    const lab = await enter('home')
    await new Promise<void>((resolve) => {
      lab.spawn('home', ['node', '-e', hog]).stdout?.once('data', () => resolve())
    })
    const { verdict, strategies } = await doctorReport(lab)
    const unheard = (port: number): object => ({
      code: 'PORT_TAKEN',
      message: `another program listens on UDP port ${port} and does not share it: restarts of the router are noticed later, when it is next asked`
    })
    expect([verdict, ...strategies.map(({ name, reason }) => [name, reason])]).toEqual([
      'public',
      ['pcp', unheard(5350)],
      ['nat-pmp', unheard(5350)],
      ['upnp', unheard(1900)]
    ])
    const { stdout, stderr } = await posternIn(lab, ['map', '8080', '--once'])
    expect(stdout).toContain('mapped')
    expect(stderr.match(/listens on UDP port 5350/g)).toHaveLength(1)
  })

  it('shared announcement ports are not reported', async () => {
    const { strategies } = await doctorReport(await enter('home'))
    expect(strategies.map(({ reason }) => reason)).toEqual([null, null, null])
  })
})
