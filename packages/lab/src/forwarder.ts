import { createSocket } from 'node:dgram'
import { createInterface } from 'node:readline'

// A program of its own, in a namespace of its own: what goes over a delayed cable passes through it. `delays.ts` starts
// it with the address and port of the kernel's side, and tells it in lines of standard input what to do.

/** A frame that waits, and the next one behind it. */
interface Waiting {
  readonly frame: Buffer
  readonly dueMs: number
  next?: Waiting
}

/** One way of a cable. */
interface Way {
  /** The network identifier under which frames go on. */
  readonly to: number
  delayMs: number
  jitterMs: number
  waiting: number
  first?: Waiting | undefined
  last?: Waiting | undefined
}

/** A burst fits, a flood does not: about 30 MB. */
const mostWaiting = 20_000

const [address = '', port = ''] = process.argv.slice(2)
const ways = new Map<number, Way>()
const receiver = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
const sender = createSocket({ type: 'udp4', sendBufferSize: 4 << 20 })

receiver.on('message', (frame) => {
  // RFC 7348, section 5: flags with bit 3 set, 24 bits reserved, the 24 bits of the identifier, 8 reserved; the frame.
  if (frame.length < 8 || frame[0] !== 8) return
  const way = ways.get(frame.readUIntBE(4, 3))
  if (way === undefined || way.waiting >= mostWaiting) return
  frame.writeUIntBE(way.to, 4, 3)
  const wish = performance.now() + way.delayMs + Math.random() * way.jitterMs
  // A cable keeps the order: none is due before the one in front of it.
  const waiting: Waiting = { frame, dueMs: Math.max(wish, way.last?.dueMs ?? 0) }
  if (way.last === undefined) {
    way.first = waiting
    wait(way, waiting)
  } else way.last.next = waiting
  way.last = waiting
  way.waiting += 1
})

/** Sends what is due, now or when the first one is. */
function wait(way: Way, { dueMs }: Waiting): void {
  // A timer comes up to a millisecond late, seldom early: then there is another short one.
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

/** `<identifier> <identifier> <delay ms> <jitter ms>`: what comes under one of the two goes on under the other. */
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

// The kernel's side is not there while no cable is delayed.
for (const socket of [sender, receiver]) socket.on('error', () => {})
sender.connect(Number(port), address, () => {
  receiver.bind(Number(port), () => {
    const lines = createInterface({ input: process.stdin })
    lines.on('line', obey)
    lines.once('close', () => process.exit())
    process.stdout.write('ready\n')
  })
})
