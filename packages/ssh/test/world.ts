import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { World } from '@postern/conformance'
import { type Endpoint, systemClock } from '@postern/interface'
import type * as Ssh2 from 'ssh2'
import { fingerprintOf } from '../src/known-hosts.js'
import type { SshOptions } from '../src/options.js'

const { Server, utils }: Pick<typeof Ssh2, 'Server' | 'utils'> = createRequire(import.meta.url)('ssh2')

/** The password of the user. */
export const secret = 'correct horse'

interface KeyPair {
  readonly private: string
  /** As in a `.pub` file. */
  readonly public: string
  /** The private key, encrypted with the password of the world. */
  readonly encrypted: string
}

/** ssh2 makes a malformed Ed25519 key now and then, so this is one of ECDSA. */
export function newKey(): KeyPair {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'prime256v1',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'sec1', format: 'pem' }
  })
  const key = utils.parseKey(privateKey)
  if (key instanceof Error) throw key
  const encrypted = createPrivateKey(privateKey)
    .export({ type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase: secret })
    .toString()
  return { private: privateKey, encrypted, public: `${key.type} ${key.getPublicSSH().toString('base64')}` }
}

const portOf = (server: NetServer): number => (server.address() as AddressInfo).port
const sha256 = (publicKey: string): string => fingerprintOf(Buffer.from(publicKey.split(' ')[1] ?? '', 'base64'))

/** What an SSH server of this process does differently from a good one. */
export interface Behaviour {
  /** Refuses every request for a port. */
  refusesPorts?: boolean
  /** Ports that it refuses, as taken. */
  readonly taken: Set<number>
  /** Says yes and opens nothing. */
  opensNothing?: boolean
  /** Answers nothing any more. */
  isSilent?: boolean
  /** The methods that it lets in with; by default the key and the password. */
  methods?: readonly ('publickey' | 'password' | 'keyboard-interactive')[]
  /** The greeting in place of that of an SSH server. */
  greeting?: string
}

/** An SSH server in this process, as the world of the strategy, and an application that echoes what it gets. */
export interface SshWorld extends World {
  readonly endpoint: Endpoint
  readonly behaviour: Behaviour
  /** The options with which the strategy may log in. */
  readonly options: SshOptions
  readonly fingerprint: string
  /** A line of `known_hosts` for the server. */
  readonly knownLine: string
  readonly folder: string
  readonly encryptedKey: string
  /** The SSH clients that are logged in, to be hostile to. */
  readonly clients: Set<Ssh2.Connection>
  /** The TCP connections of clients. */
  readonly sockets: Set<Socket>
  /** How often a client has logged in. */
  logins(): number
  /** The connections that the application got. */
  readonly accepted: Socket[]
  /** Writes a file and returns its path. */
  file(name: string, text: string): string
  close(): Promise<void>
}

/** Returns a port that nothing listens on at present. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}

export async function createWorld(wantedPort = 0): Promise<SshWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-ssh-'))
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const [hostKey, userKey] = [newKey(), newKey()]
  const behaviour: Behaviour = { taken: new Set() }
  const clients = new Set<Ssh2.Connection>()
  const sockets = new Set<Socket>()
  const opened = new Set<NetServer>()
  const accepted: Socket[] = []
  let [logins, asked, changes] = [0, 0, 0]

  const application = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket)
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  application.listen(0, '127.0.0.1')

  const sshd = new Server({ hostKeys: [hostKey.private] }, (client) => {
    client.on('error', () => undefined)
    client.on('authentication', (context) => {
      const { methods = ['publickey', 'password'] } = behaviour
      if (context.method === 'publickey' && methods.includes('publickey')) {
        const known = userKey.public.split(' ')[1]
        return context.key.data.toString('base64') === known ? context.accept() : context.reject([...methods])
      }
      if (context.method === 'password' && methods.includes('password'))
        return context.password === secret ? context.accept() : context.reject([...methods])
      if (context.method === 'keyboard-interactive' && methods.includes('keyboard-interactive'))
        return context.prompt([{ prompt: 'Password: ', echo: false }], ([answer]) =>
          answer === secret ? context.accept() : context.reject([...methods])
        )
      context.reject([...methods])
    })
    client.on('ready', () => {
      logins += 1
      clients.add(client)
    })
    client.on('close', () => clients.delete(client))
    const ports = new Map<number, NetServer>()
    client.on('request', (accept, reject, name, info) => {
      if (name === 'cancel-tcpip-forward') {
        changes += 1
        ports.get(info.bindPort)?.close()
        ports.delete(info.bindPort)
        return accept?.()
      }
      if (name !== 'tcpip-forward') return reject?.()
      changes += 1
      const { bindAddr, bindPort } = info
      if (behaviour.refusesPorts === true || behaviour.taken.has(bindPort)) return reject?.()
      if (behaviour.opensNothing === true) return accept?.(bindPort === 0 ? 1 : undefined)
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        socket.on('error', () => undefined)
        const { remoteAddress = '', remotePort = 0 } = socket
        client.forwardOut(bindAddr, portOf(server), remoteAddress, remotePort, (error, stream) => {
          if (error !== undefined) return void socket.destroy()
          stream.on('error', () => undefined)
          socket.pipe(stream).pipe(socket)
        })
      })
      server.once('error', () => reject?.())
      server.listen(bindPort, '127.0.0.1', () => {
        ports.set(portOf(server), server)
        opened.add(server)
        accept?.(bindPort === 0 ? portOf(server) : undefined)
      })
    })
    client.on('close', () => {
      for (const server of ports.values()) server.close()
    })
  })
  const front = createServer((socket) => {
    asked += 1
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    if (behaviour.greeting !== undefined) socket.end(behaviour.greeting).resume()
    else if (behaviour.isSilent === true) socket.resume()
    else sshd.injectSocket(socket)
  })
  front.listen(wantedPort, '127.0.0.1')
  await Promise.all([once(front, 'listening'), once(application, 'listening')])

  const host = '127.0.0.1'
  const port = portOf(front)
  const fingerprint = sha256(hostKey.public)
  return {
    clock: systemClock,
    network: { gateways: [], addresses: ['192.168.1.2'] },
    endpoint: { protocol: 'tcp', family: 4, address: '127.0.0.1', port: portOf(application) },
    behaviour,
    options: {
      host,
      port,
      username: 'me',
      hostKey: fingerprint,
      keyFile: file('id_ecdsa', userKey.private),
      externalPort: await freePort(),
      allowOtherPort: true
    },
    fingerprint,
    knownLine: `[${host}]:${port} ${hostKey.public}`,
    folder,
    encryptedKey: userKey.encrypted,
    clients,
    sockets,
    accepted,
    file,
    logins: () => logins,
    requests: () => asked,
    changes: () => changes,
    openHandles: () => sockets.size,
    faults: {
      silence() {
        behaviour.isSilent = true
        for (const socket of sockets) socket.pause()
      },
      refuse() {
        behaviour.refusesPorts = true
      }
    },
    async close() {
      for (const socket of [...sockets, ...accepted]) socket.destroy()
      for (const server of [front, application, ...opened]) server.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
