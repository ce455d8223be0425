import { type Lab, withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { doctorReport, enter, folder, posternIn, support, why } from '../../../support/in-lab.js'
import { startWitness, two } from '../../../support/witnesses.js'

/** Opens a home whose own firewall lets in port 8080 only, behind a router that maps ports. */
const enterWithFirewall = (): Promise<Lab> => enter(withPeers('host-firewall'))

const startWitnesses = (lab: Lab): Promise<unknown> =>
  Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host)))

describe.skipIf(!support.ok).concurrent(`the firewall of the machine of doctor${why}`, { timeout: 60_000 }, () => {
  it('doctor says that the firewall of this machine is in the way, as witnesses find, and which command lets them in', async () => {
    const lab = await enterWithFirewall()
    await startWitnesses(lab)
    const { stdout, code } = await posternIn(lab, ['doctor', '--port', '8081', ...two])
    expect(code).toBe(11)
    expect(stdout).toContain('Verdict: private (blocked)\n')
    expect(stdout).toContain('could not reach it')
    expect(stdout).toMatch(
      /^Neighbourhood\n(?: .*\n)* *Firewall of this machine: nftables drops the connections \(the chain input of the table inet filter/m
    )
    const [, command = ''] = /Let them in: (?:sudo )?(nft insert rule [\w ]+ accept)\.$/m.exec(stdout) ?? []
    // The command does what the advice says.
    await lab.run('home', command.split(' '))
    const opened = await doctorReport(lab, '--port', '8081', ...two)
    expect(opened).toMatchObject({
      verdict: 'public',
      cause: null,
      neighbourhood: { hostFirewall: { state: 'lets-in' } }
    })
  })

  it('doctor without a witness calls a mapped port private that the firewall of this machine drops', async () => {
    const lab = await enterWithFirewall()
    const { verdict, cause, exit, neighbourhood } = await doctorReport(lab)
    expect({ verdict, cause, exit }).toEqual({ verdict: 'private', cause: 'blocked', exit: 11 })
    expect(neighbourhood?.hostFirewall).toEqual({
      tool: 'nftables',
      state: 'blocks',
      reason: 'the chain input of the table inet filter accepts no connection to the port',
      command: 'sudo nft insert rule inet filter input tcp dport PORT accept'
    })
  })

  it('doctor finds the one port that the firewall of this machine lets in', async () => {
    const lab = await enterWithFirewall()
    const alone = await doctorReport(lab, '--port', '8080')
    expect(alone).toMatchObject({
      verdict: 'public',
      cause: 'unverified',
      neighbourhood: { hostFirewall: { state: 'lets-in' } }
    })
  })

  it('doctor does not know the rules of a firewall that it may not read, and says so if witnesses tried in vain', async () => {
    const lab = await enterWithFirewall()
    await startWitnesses(lab)
    const bin = new URL('../../../../bin/postern.js', import.meta.url).pathname
    const drop = ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all', '--']
    const args = [...drop, process.execPath, bin, 'doctor', '--json', '--port', '8081', ...two]
    const { stdout } = await lab.run('home', args, { env: { XDG_STATE_HOME: await folder() }, timeoutMs: 30_000 })
    const report: unknown = JSON.parse(stdout)
    expect(report).toMatchObject({
      verdict: 'private',
      cause: 'mapping-not-honoured',
      advice: [
        expect.any(String),
        expect.stringMatching(/^Look at the firewall of this machine \(nftables\) too: .*sudo nft list ruleset$/)
      ],
      neighbourhood: { hostFirewall: { tool: 'nftables', state: 'unknown', command: 'sudo nft list ruleset' } }
    })
  })

  it('doctor finds no rules where there are none', async () => {
    const { neighbourhood } = await doctorReport(await enter('home'))
    expect(neighbourhood?.hostFirewall).toEqual({ tool: 'nftables', state: 'inactive', reason: null, command: null })
  })
})
