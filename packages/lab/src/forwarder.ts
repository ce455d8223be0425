import { createSocket } from 'node:dgram'
import { createInterface } from 'node:readline'

// A separate program in its own namespace, through which the frames of delayed cables pass. `delays.ts` starts it with
// the address and port of the kernel's side, and sends it commands as lines of standard input.

/** A queued frame in a linked list. */
interface Waiting {
  readonly frame: Buffer
  readonly dueMs: number
  next?: Waiting
}

/** One direction of a cable. */
interface Way {
  /** The VXLAN network identifier with which frames are forwarded. */
  readonly to: number
  delayMs: number
  jitterMs: number
  waiting: number
  first?: Waiting | undefined
  last?: Waiting | undefined
}

/** The maximum queue length, about 30 MB: enough for a burst, but not for a flood. */
const maxWaiting = 20_000

const [address = '', port = ''] = process.argv.slice(2)
const ways = new Map<number, Way>()
const receiver = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
const sender = createSocket({ type: 'udp4', sendBufferSize: 4 << 20 })

receiver.on('message', (frame) => {
  // RFC 7348, section 5: flags with bit 3 set, 24 bits reserved, the 24 bits of the identifier, 8 reserved; the frame.
  if (frame.length < 8 || frame[0] !== 8) return
  const way = ways.get(frame.readUIntBE(4, 3))
  if (way === undefined || way.waiting >= maxWaiting) return
  frame.writeUIntBE(way.to, 4, 3)
  const wish = performance.now() + way.delayMs + Math.random() * way.jitterMs
  // A cable keeps the order, so no frame is due before the previous one.
  const waiting: Waiting = { frame, dueMs: Math.max(wish, way.last?.dueMs ?? 0) }
  if (way.last === undefined) {
    way.first = waiting
    wait(way, waiting)
  } else way.last.next = waiting
  way.last = waiting
  way.waiting += 1
})

/** Waits until a frame is due and sends it. */
function wait(way: Way, { dueMs }: Waiting): void {
  // A timer fires up to a millisecond late, and seldom early; then another short timer follows.
  setTimeout(() => deliver(way), Math.floor(dueMs - performance.now()))
}

function deliver(way: Way): void {
  const now = performance.now()
  while (way.first !== undefined && way.first.dueMs <= now) {
    sender.send(way.first.frame)
    way.first = way.first.next
    way.waiting -= 1
  }
  if (way.first === undefined) way.last = undefined
  else wait(way, way.first)
}

/**
 * Carries out a command `<identifier> <identifier> <delay ms> <jitter ms>`: frames of one identifier go on with the
 * other.
 */
function obey(line: string): void {
  const [one = 0, other = 0, delayMs = 0, jitterMs = 0] = line.split(' ').map(Number)
  for (const [from, to] of [
    [one, other],
    [other, one]
  ] as const) {
    const way = ways.get(from) ?? { to, delayMs, jitterMs, waiting: 0 }
    ways.set(from, Object.assign(way, { delayMs, jitterMs }))
  }
  process.stdout.write('done\n')
}

// The kernel's side does not exist while no cable is delayed, so errors are ignored.
for (const socket of [sender, receiver]) socket.on('error', () => {})
sender.connect(Number(port), address, () => {
  receiver.bind(Number(port), () => {
    const lines = createInterface({ input: process.stdin })
    lines.on('line', obey)
    lines.once('close', () => process.exit())
    process.stdout.write('ready\n')
  })
})
