import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startSshd } from '@postern/lab'
import { Talker, World } from '../world.mjs'

const witnessServer = fileURLToPath(new URL('../jobs/witness-server.mjs', import.meta.url))
const visitor = fileURLToPath(new URL('job-visit.mjs', import.meta.url))

/** How long the visits of all claims may take, in ms. */
const visitMs = 20_000

/** Opens a lab with a home, three public libp2p peers, two witnesses, and a host whose ports can be used over SSH. */
export async function openReachWorld(topology, signal) {
  const world = await World.open(topology, signal)
  const { lab, peers } = world
  const folder = await mkdtemp(join(tmpdir(), 'postern-reach-'))
  async function close() {
    await world.close()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    for (const host of ['alpha', 'bravo']) {
      const talker = new Talker(lab, host, [process.execPath, witnessServer])
      if ((await talker.hear(({ port }) => port > 0, 10_000)) === undefined)
        throw new Error(`the witness in ${host} does not start`)
    }
    const { address, port, user, keyFile, knownHosts } = await startSshd(lab, 'charlie', { folder })
    const witnesses = ['alpha', 'bravo'].map((host) => `witness:http://${lab.address(host)}:4003`)
    return {
      lab,
      peers,
      strategies: ['any', ...witnesses].join(),
      sshOptions: { host: address, port, username: user, keyFile, knownHosts },
      /** Returns whether a claim leads to one of the hosts that help. */
      isHelper: (claim) => ['alpha', 'bravo', 'charlie'].some((host) => claim.includes(lab.address(host))),
      /** Resolves to whether a host outside got through at each claim. */
      async visit(claims) {
        if (claims.length === 0) return []
        const command = [process.execPath, visitor, JSON.stringify(claims)]
        const { stdout } = await lab.run('outsider', command, { timeoutMs: visitMs })
        return JSON.parse(stdout).results
      },
      close
    }
  } catch (error) {
    await close()
    throw error
  }
}
