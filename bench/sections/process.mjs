// Measures whole processes and first calls against an empty process and against others: what a user waits for.
import { canDelay } from '@postern/lab'
import { postern } from '../programs.mjs'
import { aim, compare, tableOf, takeTurns } from '../rounds.mjs'
import { Stage } from '../stage.mjs'

const rounds = 9
const expect = 'mapped'
/** A Linux router answers a host with one ICMP error a second, and `postern map` asks it for a few. */
const pauseMs = 3500

/** A router at the other end of a wireless network, in ms one way. */
const delayMs = 5

const empty = 'an empty Node process'
const once = 'postern map --once'
const ladder = 'Postern, the ladder'
const natApi = '@silentbot1/nat-api'

const wholes = [
  { name: empty, command: () => [process.execPath, '-e', ''] },
  { name: once, command: (port) => postern('map', String(port), '--once'), expect, pauseMs },
  { name: 'natpmpc', command: (port) => ['natpmpc', '-a', String(port), String(port), 'tcp', '7200'], expect }
]
const calls = [
  { name: ladder, job: 'map-traversal', args: ['any'], calls: 6, expect },
  { name: natApi, job: 'map-nat-api', args: ['any'], calls: 6, expect }
]

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function wholeProcess({ signal, progress }) {
  const stage = await Stage.open('home', signal)
  try {
    const sample = (contender) => stage.sample(contender)
    const processes = await takeTurns(wholes, rounds, sample, progress)
    const called = await takeTurns(calls, rounds, sample, progress)
    const { ok: delays } = await canDelay()
    if (delays) await stage.delay(delayMs)
    const far = delays ? await takeTurns(calls, rounds, sample, progress) : undefined
    const [toEmpty, toNatApi, later] = [
      compare(processes, once, empty, 'first'),
      compare(called, natApi, ladder, 'first'),
      compare(called, natApi, ladder, 'again')
    ]
    return {
      name: 'process',
      title: 'Whole processes, and the first call in one',
      notes: [
        'A router with PCP, NAT-PMP and UPnP. A whole process is timed from its start to its end; `postern` finds the compile cache that Node made at its first run, and checks with a few datagrams that the router holds the address that it claims. Before each of its turns the router rests, because Linux sends a host one ICMP error a second. A first call is the first in a new process with its modules loaded. A mapping counts only if the rule is in the kernel of the router. Postern asks whether the router speaks a protocol before it maps, which takes a round trip more than a client that maps at once, so the difference grows with the distance to the router (the last table, on a machine that can delay packets).'
      ],
      tables: [
        tableOf('Whole processes', processes, once),
        tableOf('From the call to the mapping, all three protocols', called, ladder),
        ...(far === undefined ? [] : [tableOf(`The same, ${delayMs} ms from the router, one way`, far, ladder)])
      ],
      aims: [
        aim('postern map --once, whole process, ≤ 3× an empty one', toEmpty, '×', (ratio) => ratio <= 3),
        aim('first call of the ladder ≥ 0.9× @silentbot1/nat-api', toNatApi, '×', (ratio) => ratio >= 0.9),
        aim('… later calls ahead of it', later, '×', (ratio) => ratio > 1)
      ],
      data: { processes, called, far }
    }
  } finally {
    await stage.close()
  }
}
