import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { DelayedCables } from './delays.js'
import { LabError } from './errors.js'
import type { Output } from './exec.js'
import { collect } from './exec.js'
import type { Router } from './facts.js'
import { makeFacts, plainAddress } from './facts.js'
import * as fault from './faults.js'
import { Namespace } from './namespace.js'
import * as path from './path-faults.js'
import { routerFolder } from './router-files.js'
import type { Packets, Rule } from './rules.js'
import { parsePackets, parseRules } from './rules.js'
import { setupScript } from './setup-script.js'
import { prepareTools } from './tools.js'
import type { TopologyName } from './topologies.js'
import { getTopology } from './topologies.js'
import type { Topology } from './topology.js'

export interface OpenLabOptions {
  /** Aborts the opening; a lab that is open is closed with `close`. */
  readonly signal?: AbortSignal
  /** Lets the daemons write everything that they do to `log`. They answer more slowly: nothing for timing. @default false */
  readonly debug?: boolean
  /** Told one line at the start of each slow step of the first use on a machine. */
  readonly onProgress?: (line: string) => void
}

export interface RunOptions {
  /** Ends the command by SIGTERM. */
  readonly signal?: AbortSignal
  /** Added to this process's environment. */
  readonly env?: NodeJS.ProcessEnv
  /** What the command reads on standard input; without it, nothing. */
  readonly input?: string
  /** Ends the command by SIGTERM after so many milliseconds. @default no limit */
  readonly timeoutMs?: number
  /** @default this process's working directory */
  readonly cwd?: string
}

export interface RebootOptions {
  /** The TCP port of UPnP after the reboot, as some routers pick another one each time. @default the one before */
  readonly controlPort?: number
}

export interface DelayOptions {
  /** Each datagram takes up to so many milliseconds longer, at random. @default 0 */
  readonly jitterMs?: number
  /** @default a router's link outwards, another host's first */
  readonly link?: string
}

/**
 * A lab that is open. Host names that the topology does not have are a TypeError; the lab's own failures are a LabError
 * (`LAB_COMMAND`, `LAB_SETUP`, `LAB_CLOSED`). Faults resolve when they are in force. Faults of one lab are not to overlap.
 */
export interface Lab extends AsyncDisposable {
  readonly topology: Topology
  readonly hosts: readonly string[]
  /** Of its first process. `postern-lab join <pid>` runs a command in this lab from another terminal. */
  readonly pid: number

  /** The first IPv4 address of a host, now, on its uplink (the first link) or on the link named: `address('router', 'wan')`. */
  address(host: string, link?: string): string
  /** The same for IPv6. */
  address6(host: string, link?: string): string
  /** The TCP port of a router's UPnP description and control, now. */
  controlPort(router?: string): number

  /** Runs a command in a host to its end, whatever its exit code. Rejects where `signal` aborts. */
  run(host: string, command: readonly string[], options?: RunOptions): Promise<Output>
  /**
   * Starts a command in a host, with the options of Node's `spawn` (`env` is added to this process's). `kill` reaches the
   * command itself, which never survives the lab. `pid` is that of a program outside that waits for it: if that is killed, it dies too.
   * An exit code from 129 to 192 shows as the signal that it stands for in a shell.
   */
  spawn(host: string, command: readonly string[], options?: SpawnOptions): ChildProcess

  /** Port mappings and pinholes in force in the router's kernel, whatever its daemon says. */
  rules(router?: string): Promise<Rule[]>
  /** What hosts of the LAN sent to the router's mapping services so far. */
  packets(router?: string): Promise<Packets>
  /** What the router's daemon wrote; empty unless the lab was opened with `debug`. */
  log(router?: string): Promise<string>

  /** Power off and on: rules and leases gone, epoch at zero, no goodbye. */
  reboot(router?: string, options?: RebootOptions): Promise<void>
  /** Stops the daemon, which says goodbye; its rules stay. */
  stopDaemon(router?: string): Promise<void>
  /** Starts the daemon; it takes up its lease file where the rules were not lost. */
  startDaemon(router?: string): Promise<void>
  /** Deletes every mapping behind everybody's back, the daemon's included. */
  flushRules(router?: string): Promise<void>
  /** From now on nothing new from outside passes the router, whatever it has granted; what is connected stays so. */
  blockInbound(router?: string): Promise<void>
  /** What is mapped is reached from outside again. */
  unblockInbound(router?: string): Promise<void>
  /** Gives the router another IPv4 WAN address, as in `11.0.0.77`; everyone on that network finds it there. */
  changeWanAddress(router: string, address: string): Promise<void>
  /** Gives a host another IPv4 address of the same network on its first link. */
  changeHostAddress(host: string, address: string): Promise<void>
  /** Takes the interface down: addresses stay, routes go. @param link - the first one without */
  linkDown(host: string, link?: string): Promise<void>
  /** Takes it up again with its addresses and routes. */
  linkUp(host: string, link?: string): Promise<void>
  /**
   * Moves a host to another network, as a laptop from Wi-Fi to cable: the link that it used loses its address and goes
   * down, then the next of its links, or the one named, comes up. A TypeError where there is no other.
   */
  switchUplink(host: string, link?: string): Promise<void>
  /**
   * Loses so many percent of the datagrams over a link of the router, both ways; 0 ends it. ARP and ICMPv6 pass.
   * @param link - the one to its LAN without
   */
  loss(router: string, percent: number, link?: string): Promise<void>
  /**
   * From now on whatever goes over the cable takes `delayMs` longer, each way, and keeps its order; 0 ends it. Costs some
   * 0.1 s the first time. A LabError `LAB_UNSUPPORTED` where the kernel cannot (ask `canDelay`).
   */
  delay(host: string, delayMs: number, options?: DelayOptions): Promise<void>
  /**
   * From now on nothing passes the cable, and nobody is told: the interface stays up, as when the provider has a fault.
   * @param link - a router's link outwards without, another host's first
   */
  outageBegins(host: string, link?: string): Promise<void>
  /** The cable carries again. */
  outageEnds(host: string, link?: string): Promise<void>

  /** Ends every process of the lab; resolves when all is gone. May be called twice. */
  close(): Promise<void>
}

/**
 * Opens a lab: real routers and hosts in namespaces of their own, beside any other lab, gone with this process.
 * Takes about 0.1 s (the first time on a machine some seconds more, for the tools).
 * Rejects with a LabError: `LAB_UNSUPPORTED`, `LAB_TOOLS`, `LAB_SETUP` (ask `canRunLab` first whether it can work here);
 * with a TypeError for an unknown name or a topology that cannot be built.
 */
export async function openLab(topology: TopologyName | Topology, options: OpenLabOptions = {}): Promise<Lab> {
  const { debug = false, onProgress, signal } = options
  const plan = typeof topology === 'string' ? getTopology(topology) : topology
  const facts = makeFacts(plan)
  if (process.platform !== 'linux') {
    throw new LabError('LAB_UNSUPPORTED', `The lab needs Linux namespaces, and this is ${process.platform}.`)
  }
  const tools = await prepareTools({ signal, onProgress })
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
  child.stdin?.on('error', () => {}) // a command need not read it all
  child.stdin?.end(input)
  return collect(child)
}
