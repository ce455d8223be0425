import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { DelayedCables } from './delays.js'
import { LabError } from './errors.js'
import type { Output } from './exec.js'
import { collect } from './exec.js'
import type { Router } from './facts.js'
import { makeFacts, plainAddress } from './facts.js'
import * as fault from './faults.js'
import { Namespace } from './namespace.js'
import { prepareNewerDaemon } from './newer-daemon.js'
import * as path from './path-faults.js'
import { isNewer, routerFolder } from './router-files.js'
import type { Packets, Rule } from './rules.js'
import { parsePackets, parseRules } from './rules.js'
import { setupScript } from './setup-script.js'
import { prepareTools, type Tools } from './tools.js'
import { getTopology } from './topologies.js'
import type { Topology } from './topology.js'
import type { TopologyName } from './topology-names.js'

/** Options of `openLab()`. */
export interface OpenLabOptions {
  /** Aborts the opening. An open lab is closed with `close`. */
  readonly signal?: AbortSignal
  /** Whether the daemons write a debug log, which `log` returns. They then answer more slowly. @default false */
  readonly debug?: boolean
  /** Called with one line at the start of each slow step of the first use on a machine. */
  readonly onProgress?: (line: string) => void
}

/** Options of `Lab.run`. */
export interface RunOptions {
  /** Ends the command with SIGTERM. */
  readonly signal?: AbortSignal
  /** Variables to add to the environment of this process. */
  readonly env?: NodeJS.ProcessEnv
  /** The standard input of the command. @default empty */
  readonly input?: string
  /** Ends the command with SIGTERM after this time, in milliseconds. @default no limit */
  readonly timeoutMs?: number
  /** The working directory. @default that of this process */
  readonly cwd?: string
}

/** Options of `Lab.reboot`. */
export interface RebootOptions {
  /** The TCP port of UPnP after the reboot. Some routers use another port each time. @default the previous port */
  readonly controlPort?: number
}

/** Options of `Lab.delay`. */
export interface DelayOptions {
  /** The maximum of the additional random delay of each frame, in milliseconds. @default 0 */
  readonly jitterMs?: number
  /** The link. @default the outer link of a router, or the first link of another host */
  readonly link?: string
}

/**
 * An open lab. Methods throw or reject with a TypeError for an unknown host name, and with a LabError (`LAB_COMMAND`,
 * `LAB_SETUP`, `LAB_CLOSED`) for a failure of the lab. Methods that cause a fault resolve when the fault is active.
 * Calls of such methods must not overlap.
 */
export interface Lab extends AsyncDisposable {
  /** The topology of the lab. */
  readonly topology: Topology
  /** The names of the hosts. */
  readonly hosts: readonly string[]
  /** The process id of its first process. `postern-lab join <pid>` runs a command in this lab from another terminal. */
  readonly pid: number

  /**
   * Returns the current first IPv4 address of a host, on its uplink or on the given link: `address('router', 'wan')`.
   */
  address(host: string, link?: string): string
  /** Returns the current first IPv6 address in the same way. */
  address6(host: string, link?: string): string
  /** Returns the current TCP port of a router's UPnP description and control. */
  controlPort(router?: string): number

  /** Runs a command in a host and resolves with any exit code. Rejects if `signal` aborts. */
  run(host: string, command: readonly string[], options?: RunOptions): Promise<Output>
  /**
   * Starts a command in a host, with the options of Node's `spawn` (`env` is added to the environment of this process).
   * `kill` reaches the command itself. The command never survives the lab. `pid` is that of a program outside the lab
   * that waits for the command; if it is killed, the command dies too. An exit code from 129 to 192 is reported as the
   * signal that it stands for in a shell.
   */
  spawn(host: string, command: readonly string[], options?: SpawnOptions): ChildProcess

  /** Resolves with the port mappings and pinholes in the kernel of a router, independent of its daemon. */
  rules(router?: string): Promise<Rule[]>
  /** Resolves with the number of packets that the LAN has sent to the mapping services of a router. */
  packets(router?: string): Promise<Packets>
  /** Resolves with the log of a router's daemon; empty unless the lab was opened with `debug`. */
  log(router?: string): Promise<string>

  /** Power-cycles a router: rules and leases are lost, the epoch is zero, and no byebye is sent. */
  reboot(router?: string, options?: RebootOptions): Promise<void>
  /** Stops the daemon of a router, which sends byebye. Its rules stay. */
  stopDaemon(router?: string): Promise<void>
  /** Starts the daemon of a router. It restores the leases of its lease file if the rules were not lost. */
  startDaemon(router?: string): Promise<void>
  /** Deletes every mapping silently, without the knowledge of the daemon. */
  flushRules(router?: string): Promise<void>
  /** Makes a router drop new connections from outside, despite its mappings. Existing connections stay. */
  blockInbound(router?: string): Promise<void>
  /** Ends `blockInbound`. */
  unblockInbound(router?: string): Promise<void>
  /** Gives a router another IPv4 WAN address, as in `11.0.0.77`. All hosts of that network can reach it there. */
  changeWanAddress(router: string, address: string): Promise<void>
  /** Gives a host another IPv4 address of the same network on its first link. */
  changeHostAddress(host: string, address: string): Promise<void>
  /** Takes an interface down. Its addresses stay and its routes are lost. @param link - by default the uplink */
  linkDown(host: string, link?: string): Promise<void>
  /** Takes an interface up again with its addresses and routes. */
  linkUp(host: string, link?: string): Promise<void>
  /**
   * Moves a host to another network, as a laptop from Wi-Fi to cable. The current link loses its address and goes down,
   * then the next link, or the given one, comes up. Rejects with a TypeError if there is no other link.
   */
  switchUplink(host: string, link?: string): Promise<void>
  /**
   * Loses this percentage of the packets over a link of a router, in both directions; 0 ends it. ARP and ICMPv6 pass.
   * @param link - by default the link to its LAN
   */
  loss(router: string, percent: number, link?: string): Promise<void>
  /**
   * Delays the frames of a cable by `delayMs` in each direction and keeps their order; 0 ends it. The first call takes
   * about 0.1 s. Rejects with a LabError `LAB_UNSUPPORTED` if the kernel does not support it (see `canDelay`).
   */
  delay(host: string, delayMs: number, options?: DelayOptions): Promise<void>
  /**
   * Drops every frame of a cable silently: the interface stays up, as with a fault at the provider.
   * @param link - by default the outer link of a router, or the first link of another host
   */
  outageBegins(host: string, link?: string): Promise<void>
  /** Ends `outageBegins`. */
  outageEnds(host: string, link?: string): Promise<void>

  /** Ends every process of the lab and resolves when all have ended. Idempotent. */
  close(): Promise<void>
}

/**
 * Opens a lab: real routers and hosts in their own namespaces. It is independent of other labs and ends with this
 * process. Takes about 0.1 s, and some seconds more at the first use on a machine, for the tools. Rejects with a
 * LabError `LAB_UNSUPPORTED`, `LAB_TOOLS`, `LAB_SETUP` or `LAB_COMMAND` (`canRunLab` tells in advance whether a lab can
 * run here), and with a TypeError for an unknown name or a topology that cannot be built.
 */
export async function openLab(topology: TopologyName | Topology, options: OpenLabOptions = {}): Promise<Lab> {
  const { debug = false, onProgress, signal } = options
  const plan = typeof topology === 'string' ? getTopology(topology) : topology
  const facts = makeFacts(plan)
  if (process.platform !== 'linux') {
    throw new LabError('LAB_UNSUPPORTED', `The lab needs Linux namespaces, but this is ${process.platform}.`)
  }
  const needsNewer = [...facts.routers.values()].some(({ plan: { mapping } }) => isNewer(mapping))
  const tools: Tools = {
    ...(await prepareTools({ signal, onProgress })),
    ...(needsNewer ? { more: await prepareNewerDaemon({ signal, onProgress }) } : {})
  }
  const script = setupScript(
    plan,
    [...facts.routers.values()].map((router) => router.files()),
    debug
  )
  const namespace = await Namespace.open(script, tools, signal)
  const ground: fault.Ground = { facts, namespace, debug, delayed: new DelayedCables(namespace) }
  try {
    await path.delayAsPlanned(ground)
  } catch (error) {
    await namespace.close()
    throw error
  }
  return makeLab(ground)
}

function makeLab(ground: fault.Ground): Lab {
  const { facts, namespace } = ground
  const router = (name: string): Router => facts.router(name)
  return {
    topology: facts.topology,
    hosts: Object.keys(facts.topology.hosts),

    address: (host, link) => plainAddress(facts, host, link, 4),
    address6: (host, link) => plainAddress(facts, host, link, 6),
    controlPort: (name = 'router') => router(name).controlPort,

    run: (host, command, options = {}) => run(namespace, facts.host(host).name, command, options),
    pid: namespace.pid,
    spawn: (host, command, options) => namespace.spawn(facts.host(host).name, command, options),

    async rules(name = 'router') {
      const list = (chain: string): string => `nft -n list chain inet router ${chain}`
      const script = `${list('prerouting_miniupnpd')}\necho --\n${list('miniupnpd')}`
      const [nat = '', filter = ''] = (await namespace.script(router(name).name, script)).split('\n--\n')
      return parseRules(nat, filter)
    },
    async packets(name = 'router') {
      return parsePackets(await namespace.script(router(name).name, 'nft list counters table inet count'))
    },
    async log(name = 'router') {
      return namespace.script(undefined, `cat ${routerFolder(router(name).name)}/log 2> /dev/null || true`)
    },

    reboot: (name = 'router', options = {}) => fault.reboot(ground, router(name), options.controlPort),
    stopDaemon: (name = 'router') => fault.stopDaemon(ground, router(name)),
    startDaemon: (name = 'router') => fault.startDaemon(ground, router(name)),
    flushRules: (name = 'router') => fault.flushRules(ground, router(name)),
    blockInbound: (name = 'router') => fault.blockInbound(ground, router(name)),
    unblockInbound: (name = 'router') => fault.unblockInbound(ground, router(name)),
    changeWanAddress: (name, address) => fault.changeAddress(ground, name, router(name).plan.wan, address),
    changeHostAddress: (name, address) => fault.changeAddress(ground, name, facts.link(name).name, address),
    linkDown: (host, link) => fault.linkDown(ground, host, link),
    linkUp: (host, link) => fault.linkUp(ground, host, link),
    switchUplink: (host, link) => fault.switchUplink(ground, host, link),
    loss: (name, percent, link) => path.loss(ground, router(name), percent, link),
    delay: (host, delayMs, { jitterMs = 0, link } = {}) => path.delay(ground, host, link, { delayMs, jitterMs }),
    outageBegins: (host, link) => path.outage(ground, host, link, true),
    outageEnds: (host, link) => path.outage(ground, host, link, false),

    close: () => namespace.close(),
    [Symbol.asyncDispose]: () => namespace.close()
  }
}

async function run(
  namespace: Namespace,
  host: string,
  command: readonly string[],
  { signal, env, input, timeoutMs, cwd }: RunOptions
): Promise<Output> {
  signal?.throwIfAborted()
  const child = namespace.spawn(host, command, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(env && { env }),
    ...(signal && { signal }),
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    ...(cwd !== undefined && { cwd })
  })
  child.stdin?.on('error', () => {}) // a command need not read all of its input
  child.stdin?.end(input)
  return collect(child)
}
