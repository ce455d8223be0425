// Measures what `postern tunnel` carries, against `ssh -L` on the same path.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openLab, prepareTools, startSshd, withPeers } from '@postern/lab'
import { postern } from '../programs.mjs'
import { aim } from '../rounds.mjs'
import { formatSpread, ratiosOf, spreadOf } from '../stats.mjs'
import { Talker } from '../world.mjs'

const jobs = fileURLToPath(new URL('../jobs/', import.meta.url))
const rounds = 7
const waitMs = 30_000
const firstBytes = 16e6
const sustainedBytes = 300e6
const [far, near] = ['alpha', 'bravo']
const servicePort = 9000
const directions = [
  { key: 'd', name: 'download' },
  { key: 'u', name: 'upload' }
]

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function tunnel({ signal, progress }) {
  const scene = await openScene(signal)
  try {
    const contenders = [
      { name: 'postern tunnel', start: () => startPostern(scene) },
      { name: 'ssh -L', start: () => startSsh(scene) }
    ].map((each) => ({ ...each, first: { d: [], u: [] }, sustained: { d: [], u: [] } }))
    for (let round = 0; round < rounds; round++) {
      for (const { key, name } of directions) {
        for (const contender of contenders) {
          signal.throwIfAborted()
          progress(`round ${round + 1} of ${rounds}: ${contender.name}, ${name}`)
          const { port, end } = await contender.start()
          try {
            contender.first[key].push(await speedOf(scene, port, key, firstBytes))
            // Warms both processes.
            await speedOf(scene, port, key, sustainedBytes)
            contender.sustained[key].push(await speedOf(scene, port, key, sustainedBytes))
          } finally {
            await end()
          }
        }
      }
    }
    return sectionOf(contenders)
  } finally {
    await scene.close()
  }
}

function sectionOf(contenders) {
  const [ours, ssh] = contenders
  const rows = directions.flatMap(({ key, name }) =>
    [
      ['first', `first ${firstBytes / 1e6} MB, ${name}`],
      ['sustained', `${sustainedBytes / 1e6} MB once warm, ${name}`]
    ].map(([kind, text]) => [
      text,
      formatSpread(spreadOf(ours[kind][key])),
      formatSpread(spreadOf(ssh[kind][key])),
      formatSpread(spreadOf(ratiosOf(ours[kind][key], ssh[kind][key])))
    ])
  )
  const ratio = (key) => spreadOf(ratiosOf(ours.sustained[key], ssh.sustained[key]))
  return {
    name: 'tunnel',
    title: 'What a tunnel carries',
    notes: [
      `Two hosts of the lab with no delay between them, a service on one of them, and one TCP connection through the tunnel; MB are 1,000,000 bytes. \`postern tunnel\` is connected directly. Time runs from the request to the last byte. Each line of a round has new processes at both ends: the first ${firstBytes / 1e6} MB run through code that was not compiled yet, then ${sustainedBytes / 1e6} MB pass unmeasured, and then the measured ones. The service and the client run on the same cores as the tunnel. The last column is “× ssh -L”, round by round: above 1, \`postern tunnel\` carries more.`
    ],
    tables: [
      {
        caption: 'Throughput of one TCP connection',
        columns: ['', 'postern tunnel, MB/s', 'ssh -L, MB/s', '× ssh -L'],
        rows
      }
    ],
    aims: [
      ...directions.map(({ key, name }) =>
        aim(`${name}, once warm: at least half of ssh -L`, ratio(key), '×', (times) => times >= 0.5)
      ),
      ...directions.map(({ key, name }) =>
        aim(
          `${name}, first ${firstBytes / 1e6} MB: at least 100 MB/s`,
          spreadOf(ours.first[key]),
          ' MB/s',
          (speed) => speed >= 100
        )
      )
    ],
    data: contenders.map(({ name, first, sustained }) => ({ name, first, sustained }))
  }
}

async function openScene(signal) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-bench-'))
  const lab = await openLab(withPeers('no-daemon'), { signal })
  const close = async () => {
    await lab.close()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const service = new Talker(lab, far, [process.execPath, `${jobs}tunnel-service.mjs`, String(servicePort)])
    const client = new Talker(lab, near, [process.execPath, `${jobs}tunnel-client.mjs`])
    await Promise.all([service, client].map((each) => heard(each, ({ event }) => event !== undefined)))
    // sshd runs as another user, who must be able to read its files.
    const ssh = join(folder, 'ssh')
    await mkdir(ssh)
    const sshd = await startSshd(lab, far, { folder: ssh })
    const env = { XDG_STATE_HOME: folder, XDG_CACHE_HOME: folder, NO_COLOR: '1' }
    const { stdout } = await lab.run(near, postern('tunnel', 'id', '--key', join(folder, 'guest.key')), { env })
    return { lab, folder, client, sshd, env, guest: stdout.trim(), close, port: 10_000 }
  } catch (error) {
    await close()
    throw error
  }
}

/** Starts both ends of a tunnel of ours. Resolves with the port of the near end. */
async function startPostern(scene) {
  const { lab, folder, env, guest } = scene
  const port = scene.port++
  const common = ['--via', 'none', '--json', '--key']
  const listening = new Talker(
    lab,
    far,
    postern('tunnel', 'listen', String(servicePort), '--allow', guest, ...common, join(folder, 'far.key')),
    env
  )
  const { peerId } = await heard(listening, ({ event }) => event === 'listening')
  const address = `/ip4/${lab.address(far)}/tcp/${await portOf(lab)}/p2p/${peerId}`
  const connecting = new Talker(
    lab,
    near,
    postern('tunnel', 'connect', address, String(port), ...common, join(folder, 'guest.key')),
    env
  )
  await heard(connecting, ({ event, via }) => event === 'connected' && via === 'direct')
  await heard(connecting, ({ event }) => event === 'listening')
  return { port, end: () => Promise.all([listening, connecting].map((each) => each.end())) }
}

/** Returns the port on which the far end listens for peers. */
async function portOf(lab) {
  const { stdout } = await lab.run(far, ['ss', '-Hltn', 'src', '0.0.0.0'])
  const ports = stdout.split('\n').flatMap((line) => /\s0\.0\.0\.0:(\d+)\s/.exec(line)?.[1] ?? [])
  const found = ports.find((each) => each !== '2222')
  if (found === undefined) throw new Error('the far end does not listen')
  return found
}

/** Starts `ssh -L`. Resolves with the port of the near end. */
async function startSsh(scene) {
  const { lab, sshd } = scene
  const port = scene.port++
  const { bin } = await prepareTools()
  const options = [
    ['BatchMode', 'yes'],
    ['UserKnownHostsFile', sshd.knownHosts],
    ['IdentitiesOnly', 'yes'],
    ['ExitOnForwardFailure', 'yes']
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const forward = `127.0.0.1:${port}:127.0.0.1:${servicePort}`
  const child = lab.spawn(
    near,
    [
      join(bin, 'ssh'),
      '-F',
      'none',
      '-N',
      ...options,
      '-i',
      sshd.keyFile,
      '-p',
      String(sshd.port),
      '-L',
      forward,
      `${sshd.user}@${sshd.address}`
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] }
  )
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    complaint = (complaint + text).slice(-1000)
  })
  const exited = new Promise((resolve) => child.once('close', resolve))
  const until = await lab.run(near, ['sh', '-c', untilListening, 'sh', String(port)], { timeoutMs: waitMs })
  if (until.code !== 0) throw new Error(`ssh does not listen: ${complaint.trim()}`)
  return {
    port,
    async end() {
      child.kill('SIGTERM')
      await exited
    }
  }
}

const untilListening = `tries=0
until [ -n "$(ss -Hltn "sport = :$1")" ]; do
  tries=$((tries + 1))
  [ $tries -lt 200 ] || exit 1
  sleep 0.05
done`

/** Carries bytes through a port of the near end. Resolves with MB/s. */
async function speedOf({ client }, port, direction, bytes) {
  const from = client.heard
  client.say(`${port} ${direction} ${bytes}`)
  const { ms, failure } = await heard(client, ({ event }) => event === 'carried', from)
  if (failure !== undefined) throw new Error(`port ${port}: ${failure}`)
  return bytes / 1000 / ms
}

async function heard(talker, fits, from) {
  const line = await talker.hear(fits, waitMs, from)
  if (line === undefined) throw new Error('a program does not answer')
  return line
}
