import {
  type CallOptions,
  type Endpoint,
  type Forwarder,
  type ForwardLease,
  type ForwardRequest,
  type Host,
  natError,
  type RemoteParty
} from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import type { Subject, World } from '../../src/index.js'

/** A connection over which the other host lends a port. */
interface Line {
  readonly port: number
  readonly endpoint: Endpoint
  readonly ended: AbortController
  readonly host: Host
  /** Answers a client. */
  answer(text: string): string
  close(): void
}

/** Another host that lends ports, and answers after 20 ms, or not at all. */
interface Far {
  readonly lines: Set<Line>
  ask(call: CallOptions): Promise<void>
  lend(request: ForwardRequest, host: Host): Line
  tryOut(call: CallOptions): Promise<void>
}

interface FarWorld extends World {
  readonly far: Far
}

type Change = (forwarder: Forwarder, far: Far, host: Host) => Forwarder
type ChangeLine = (line: Line, far: Far) => Line

const party: RemoteParty = { id: 'far', network: '1.2.0.0/16', rttMs: 20 }
const client = { address: '51.0.0.1', port: 4711 }
const never = { signal: new AbortController().signal }
const endpointAt = (port: number): Endpoint => ({ protocol: 'tcp', family: 4, address: '127.0.0.1', port })

function leaseOf(line: Line, far: Far): ForwardLease {
  return {
    addresses: [`/ip4/1.2.3.4/tcp/${line.port}`],
    lifetimeMs: 3_600_000,
    ended: line.ended.signal,
    async renew(call) {
      line.ended.signal.throwIfAborted()
      await far.ask(call)
      return leaseOf(line, far)
    },
    async release(call) {
      await far.ask(call)
      line.close()
    }
  }
}

function forwarderOf(far: Far, host: Host, changeLine: ChangeLine): Forwarder {
  return {
    kind: 'forwarder',
    party,
    protocols: ['tcp'],
    isEncrypted: true,
    tellsClients: true,
    async forward(request, call) {
      if (request.endpoint.protocol !== 'tcp') throw natError('UNSUPPORTED', 'TCP only')
      await far.ask(call)
      const line = changeLine(far.lend(request, host), far)
      try {
        await far.tryOut(call)
      } catch (error) {
        line.close()
        throw error
      }
      return leaseOf(line, far)
    }
  }
}

/** Returns the subject of a forwarder that is honest unless changed. */
export function forwarderSubject(
  change: Change = (forwarder) => forwarder,
  changeLine: ChangeLine = (line) => line
): Subject<FarWorld> {
  return {
    create:
      ({ far }) =>
      (host) => ({
        name: 'forwarder',
        kind: 'forwarder',
        async discover(_network, found, { signal }) {
          if (!signal.aborted) found(change(forwarderOf(far, host, changeLine), far, host))
        }
      }),
    world: () => farWorld()
  }
}

function farWorld(): FarWorld {
  const clock = virtualClock()
  const lines = new Set<Line>()
  let requests = 0
  let mood: 'normal' | 'silent' | 'refusing' = 'normal'
  let isMisdirected = false
  const far: Far = {
    lines,
    async ask({ signal }) {
      signal.throwIfAborted()
      requests += 1
      await clock.sleep(mood === 'silent' ? 86_400_000 : 20, { signal })
      if (mood === 'refusing') throw natError('REFUSED', 'go away')
    },
    lend({ endpoint, suggestedExternalPort }, host) {
      let port = suggestedExternalPort
      while ([...lines].some((line) => line.port === port)) port += 1
      const line: Line = {
        port,
        endpoint,
        host,
        ended: new AbortController(),
        answer(text) {
          host.carried?.({ localAddress: '127.0.0.1', localPort: 50_000, client, party })
          return `${line.endpoint.port} ${text}`
        },
        close: () => void lines.delete(line)
      }
      lines.add(line)
      return line
    },
    async tryOut(call) {
      await far.ask(call)
      if (isMisdirected) throw natError('GRANT_INVALID', 'the port does not lead here')
    }
  }
  return {
    clock,
    far,
    network: { gateways: [], addresses: ['192.168.1.10'] },
    endpoint: endpointAt(8080),
    otherEndpoint: endpointAt(9090),
    requests: () => requests,
    changes: () => requests,
    openHandles: () => lines.size,
    async exchange({ port }, text) {
      const line = [...lines].find((each) => each.port === port)
      if (line === undefined) throw new Error('connection refused')
      return line.answer(text)
    },
    faults: {
      silence() {
        mood = 'silent'
      },
      refuse() {
        mood = 'refusing'
      },
      misdirect() {
        isMisdirected = true
      },
      cut() {
        for (const line of lines) {
          lines.delete(line)
          line.ended.abort(natError('MAPPING_LOST', 'the connection has ended'))
        }
      }
    }
  }
}

export interface BrokenForwarder {
  readonly name: string
  readonly breaks: string
  readonly subject: Subject<FarWorld>
}

const withLease = (change: (lease: ForwardLease, far: Far) => ForwardLease): Subject<FarWorld> =>
  forwarderSubject((forwarder, far) => ({
    ...forwarder,
    forward: async (request, call) => change(await forwarder.forward(request, call), far)
  }))

/** Changes the line of the other host in place, since that is the one that clients use. */
const withAnswer = (answer: (line: Line, text: string, far: Far) => string): Subject<FarWorld> =>
  forwarderSubject(undefined, (line, far) => Object.assign(line, { answer: (text: string) => answer(line, text, far) }))

/** Forwarders that break one rule each. */
export const brokenForwarders: readonly BrokenForwarder[] = [
  {
    name: 'declares a protocol twice',
    breaks: 'forwarder-declares-protocols',
    subject: forwarderSubject((forwarder) => ({ ...forwarder, protocols: ['tcp', 'tcp'] }))
  },
  {
    name: 'grants an undeclared protocol',
    breaks: 'forward-refuses-other-protocols',
    subject: forwarderSubject((forwarder) => ({
      ...forwarder,
      forward: (request, call) =>
        forwarder.forward({ ...request, endpoint: { ...request.endpoint, protocol: 'tcp' } }, call)
    }))
  },
  {
    name: 'loses the answer',
    breaks: 'forward-carries-both-ways',
    subject: withAnswer(({ host }) => {
      host.carried?.({ localAddress: '127.0.0.1', localPort: 50_000, client, party })
      return ''
    })
  },
  {
    name: 'says that it tells clients and does not',
    breaks: 'forward-tells-of-connections',
    subject: withAnswer(({ host, endpoint }, text) => {
      host.carried?.({ localAddress: '127.0.0.1', localPort: 50_000, client: null, party })
      return `${endpoint.port} ${text}`
    })
  },
  {
    name: 'carries all connections to the last endpoint',
    breaks: 'forward-serves-two-endpoints',
    subject: withAnswer(({ host, endpoint }, text, { lines }) => {
      host.carried?.({ localAddress: '127.0.0.1', localPort: 50_000, client, party })
      return `${([...lines].at(-1)?.endpoint ?? endpoint).port} ${text}`
    })
  },
  {
    name: 'believes the other host',
    breaks: 'forward-tries-the-port-out',
    subject: forwarderSubject((forwarder, far, host) => ({
      ...forwarder,
      async forward(request, call) {
        if (request.endpoint.protocol !== 'tcp') return forwarder.forward(request, call)
        await far.ask(call)
        return leaseOf(far.lend(request, host), far)
      }
    }))
  },
  {
    name: 'keeps the connection of a port that does not lead here',
    breaks: 'failed-forward-leaves-nothing',
    subject: forwarderSubject((forwarder, far, host) => ({
      ...forwarder,
      forward: (request, call) =>
        forwarder.forward(request, call).catch((error: unknown) => {
          far.lend(request, host)
          throw error
        })
    }))
  },
  {
    name: 'releases nothing',
    breaks: 'release-ends-the-forward',
    subject: withLease((lease, far) => ({ ...lease, release: (call) => far.ask(call) }))
  },
  {
    name: 'does not notice a loss',
    breaks: 'ended-tells-of-a-loss',
    subject: withLease((lease) => ({ ...lease, ended: never.signal }))
  },
  {
    name: 'reports its own release as a loss',
    breaks: 'ended-is-not-for-releases',
    subject: withLease((lease) => {
      const ended = new AbortController()
      lease.ended.addEventListener('abort', () => ended.abort(lease.ended.reason))
      return {
        ...lease,
        ended: ended.signal,
        async release(call) {
          await lease.release(call)
          ended.abort(natError('MAPPING_LOST', 'the port was given back'))
        }
      }
    })
  },
  {
    name: 'renews what was lost',
    breaks: 'renew-fails-after-a-loss',
    subject: withLease((lease, far) => ({
      ...lease,
      async renew(call) {
        await far.ask(call)
        return { ...lease }
      }
    }))
  }
]
