import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { LabError } from './errors.js'
import type { Lab } from './lab.js'
import { prepareTools } from './tools.js'

/** Options of `startSshd()`. */
export interface SshdOptions {
  /** An existing folder for the keys and the configuration. With the same folder, a later server has the same keys. */
  readonly folder: string
  /** The port. Ports below 1024 are refused to it. @default 2222 */
  readonly port?: number
  /** The value of `GatewayPorts`. @default 'clientspecified' */
  readonly gatewayPorts?: 'no' | 'yes' | 'clientspecified'
  /** Further lines of `sshd_config`. @default none */
  readonly lines?: readonly string[]
  /** What stands before the key in `authorized_keys`, `restrict,port-forwarding` for example. @default nothing */
  readonly keyOptions?: string
}

/** An OpenSSH server in a host of a lab. It only forwards ports: its user has no shell. */
export interface Sshd {
  /** The IPv4 address of the host. */
  readonly address: string
  /** The port. */
  readonly port: number
  /** The user to log in as. */
  readonly user: string
  /** The file with the private key that the server accepts. */
  readonly keyFile: string
  /** A `known_hosts` file with the key of the server. */
  readonly knownHosts: string
  /** The fingerprint of that key, `SHA256:…`. */
  readonly fingerprint: string
  /** Kills the listener and all sessions with SIGKILL. */
  kill(): Promise<void>
  /** Starts the server again after `kill`. */
  start(): Promise<void>
  /** Returns what the server has written to its log. */
  log(): string
}

/**
 * Starts OpenSSH's sshd in a host of a lab. Resolves when it listens. It ends with the lab.
 *
 * In the user namespace of a lab, root cannot change its groups, which sshd does for each login. It therefore runs as
 * another user, in one more user namespace that maps only that one, and only that user can log in.
 */
export async function startSshd(lab: Lab, host: string, options: SshdOptions): Promise<Sshd> {
  const { folder, port = 2222, gatewayPorts = 'clientspecified', lines = [], keyOptions = '' } = options
  const { bin } = await prepareTools()
  const within = (name: string): string => path.join(folder, name)
  const [hostKey, keyFile, config] = [within('host_key'), within('client_key'), within('sshd_config')]
  const [authorized, knownHosts] = [within('authorized_keys'), within('known_hosts')]
  const sh = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await lab.run(host, ['sh', '-ec', script], { timeoutMs: 20_000 })
    if (code !== 0) throw new LabError('LAB_COMMAND', `sshd on ${host}: ${stderr.trim()}`)
    return stdout.trim()
  }

  const user = await userOf(1)
  const address = lab.address(host)
  for (const file of [hostKey, keyFile]) await sh(`[ -f '${file}' ] || ssh-keygen -q -t ed25519 -N '' -f '${file}'`)
  const publicKey = await readFile(`${hostKey}.pub`, 'utf8')
  await writeFile(authorized, `${keyOptions} ${await readFile(`${keyFile}.pub`, 'utf8')}`.trimStart())
  await writeFile(knownHosts, `${port === 22 ? address : `[${address}]:${port}`} ${publicKey}`)
  const settings = [
    `Port ${port}`,
    `HostKey ${hostKey}`,
    `AuthorizedKeysFile ${authorized}`,
    'PidFile none',
    'UsePAM no',
    'StrictModes no',
    'PasswordAuthentication no',
    `GatewayPorts ${gatewayPorts}`,
    ...lines
  ]
  await writeFile(config, `${settings.join('\n')}\n`)

  let log = ''
  async function start(): Promise<void> {
    const command = ['unshare', '-U', '--map-user=1', '--map-group=1', path.join(bin, 'sshd'), '-D', '-e', '-f', config]
    const child = lab.spawn(host, command, { stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
    child.unref()
    await sh(`tries=0
until [ -n "$(ss -Hltn 'sport = :${port}')" ]; do
  tries=$((tries + 1))
  if [ $tries -gt 200 ]; then echo "it does not listen on port ${port}" >&2; exit 1; fi
  sleep 0.02
done`).catch((error: unknown) => {
      throw new LabError('LAB_COMMAND', `sshd on ${host} has not started: ${log.trim()}`, { cause: error })
    })
  }

  await start()
  return {
    address,
    port,
    user,
    keyFile,
    knownHosts,
    fingerprint: (await sh(`ssh-keygen -lf '${hostKey}.pub'`)).split(' ')[1] ?? '',
    start,
    async kill() {
      await sh(`for pid in $(ip netns pids ${host}); do
  if [ "$(cat /proc/$pid/comm 2> /dev/null)" = sshd ]; then kill -9 "$pid" 2> /dev/null || true; fi
done`)
    },
    log: () => log
  }
}

/** Returns the name of the user with this id. */
async function userOf(id: number): Promise<string> {
  for (const line of (await readFile('/etc/passwd', 'utf8')).split('\n')) {
    const [name, , found] = line.split(':')
    if (name !== undefined && found === String(id)) return name
  }
  throw new LabError('LAB_UNSUPPORTED', `This machine has no user with the id ${id}, as which sshd could run.`)
}
