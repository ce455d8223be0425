import { type CallOptions, familyOf, type Host, type NatError, natError } from '@postern/interface'
import { askedLeaseSeconds } from './lease-time.js'
import { slowGapMs } from './device.js'
import { type Addition, reservedPort } from './port-addition.js'
import { addOrFind, isRefusedAgain } from './port-doubt.js'
import { deleteEntry, findOwnPort, isOurs, isVague, type Reading, readEntry } from './port-entry.js'
import type { Wish } from './port-mapping.js'
import { faultError } from './soap.js'

/** External ports tried: the suggested one and random ones. */
const maxTries = 8
/** Tries after refusals that name no reason: what helps has to be guessed. */
const maxGuesses = 3
/** A lease that is granted shorter than this, in seconds, keeps the router busy: DD-WRT gives some seconds, and keeps what
 * has no end. */
const minLeaseSeconds = 60
/** A mapping that is gone twice within this time, in ms, is one that the router drops: it is looked at every 15 minutes, and
 * hardly a router starts again that often. */
const lossesMs = 20 * 60_000
/** RFC 6335 §6: the dynamic ports. */
const firstDynamicPort = 49_152
/** The user ports that routers with a range of their own allow most often: the first one, and how many. */
const userPorts = [10_000, 22_768] as const

/** Where a mapping was made. */
export interface Placed {
  readonly externalPort: number
  /** As asked for. */
  readonly leaseSeconds: number
  /** What the list said afterwards. */
  readonly reading: Reading
  /** What the router calls this host, where that is no address. */
  readonly knownAs: string | undefined
}

/** What to do after a refusal. */
type Next = 'same' | 'internal' | 'random' | 'own' | 'stop'

/** Makes or refreshes a mapping: a refusal leads to another lease or another port, a bounded number of times. */
export async function tryPorts(wish: Wish, additions: Addition[], call: CallOptions): Promise<Placed> {
  const { client, request, host, quirks } = wish
  const { endpoint } = request
  const tried = new Set<number>()
  let { externalPort, knownAs } = wish
  let complaint: NatError | undefined
  let guesses = 0
  let conflicts = 0
  /** Ports that the router does not show. That a random one is another host's too is improbable: then it shows none. */
  let hidden = 0
  /** A permanent lease is tried for this port alone. */
  let permanentOnce = false
  /** Our own entry was deleted to make room for itself. */
  let hasRenewed = false
  /** The list was looked through for an entry of a former life. */
  let hasLooked = false
  /** A short lease that was granted, while a permanent one is tried. */
  let short: Placed | undefined

  /** Moves on after a refusal. False where nothing is left to try. */
  async function goOn(next: Next): Promise<boolean> {
    if (next === 'stop') return false
    if (next === 'same') return true
    if (next === 'internal' && !tried.has(endpoint.port)) externalPort = endpoint.port
    else {
      // Some map an internal port only once: an entry of a former life stands in the way, under another external port. It is
      // taken back where another port would be a second one, too; but then not one that another program has made.
      const isOwn = next === 'own'
      const own =
        isOwn || !hasLooked
          ? await findOwnPort(client, endpoint, knownAs, call, isOwn ? undefined : wish.description)
          : undefined
      hasLooked = true
      externalPort = own === undefined || tried.has(own) ? randomPort(host, tried) : own
    }
    return true
  }

  async function read(port: number): Promise<Reading> {
    const reading = await readEntry(client, endpoint, port, call)
    if (reading === 'foreign') hidden += 1
    if (reading === 'absent' && wish.isConfused === true) return 'unreadable'
    return reading === 'foreign' && hidden > 1 ? 'unreadable' : reading
  }

  /** Reads what was just added. Some list it a moment later, and some at another port than they say. */
  async function look(port: number, before: Reading): Promise<{ readonly port: number; readonly reading: Reading }> {
    const told = async (each: number): Promise<Reading> => {
      const reading = await read(each)
      return (before === 'absent' || isVague(before, endpoint)) && isVague(reading, endpoint) ? 'unreadable' : reading
    }
    const reading = await told(port)
    if (reading !== 'absent') return { port, reading }
    await host.clock.sleep(slowGapMs, call)
    const later = await told(port)
    const elsewhere =
      later === 'absent' ? await findOwnPort(client, endpoint, knownAs, call, wish.description) : undefined
    return elsewhere === undefined ? { port, reading: later } : { port: elsewhere, reading: await told(elsewhere) }
  }

  function afterFault(fault: number, isKnown: boolean): Next {
    if (fault === 725 && !quirks.permanent) {
      quirks.permanent = true
      return 'same'
    }
    if (fault === 724) return tried.has(endpoint.port) ? 'stop' : 'internal'
    if (fault === 718 || fault === 729) return ++conflicts === 2 && !isKnown ? 'own' : 'random'
    if (hopeless.has(fault)) return 'stop'
    // Some say 501 or 402 of a port that is taken, of a lease that ends, and of a port that they do not allow.
    guesses += 1
    if (guesses > maxGuesses) return 'stop'
    if (guesses === 1 && fault !== 606) {
      // The other kind of lease: a router that took none with an end may have been updated since.
      permanentOnce = !quirks.permanent
      quirks.permanent = false
      return 'same'
    }
    return 'random'
  }

  for (let attempt = 0; attempt < maxTries + guesses; attempt += 1) {
    tried.add(externalPort)
    const before = await read(externalPort)
    // Of an entry that is held it need not say where it leads to, or anything: what fails here is no reason to delete it.
    const isHeldHere = wish.isHeld && externalPort === wish.externalPort
    const known =
      isOurs(before, endpoint, knownAs) || (isHeldHere && (before === 'unreadable' || isVague(before, endpoint)))
    if (isHeldHere && before === 'absent') {
      const nowMs = host.clock.monotonicMs()
      if (nowMs - quirks.lostMs < lossesMs) permanentOnce = true
      quirks.lostMs = nowMs
      wish.forgot()
    }
    if (!known && before !== 'absent' && before !== 'unreadable') {
      // miniupnpd would let us re-point the entry of another program of this host, old firmware that of anybody.
      complaint = natError('CONFLICT', `the external port ${externalPort} is mapped to another host or port`)
      externalPort = randomPort(host, tried)
      continue
    }
    const isPermanent = quirks.permanent || permanentOnce
    if (known && isPermanent && typeof before === 'object' && before.leaseSeconds === 0 && !before.isOff)
      return { externalPort, leaseSeconds: 0, reading: before, knownAs }

    const leaseSeconds = isPermanent ? 0 : askedLeaseSeconds(request)
    const reply = await addOrFind(wish, { externalPort, leaseSeconds, known, before, knownAs }, additions, call)
    if (!reply.ok && short !== undefined) {
      quirks.shortOnly = true
      return short
    }
    if (!reply.ok) {
      complaint = faultError('AddPortMapping', reply.fault, reply.description)
      if (known && !hasRenewed && isRefusedAgain(reply.fault)) {
        // Some do not let even the owner add an entry again, by 718 or another number. It is ours, so it may go first; but when it
        // would end soon all the same, since the router may not take it back.
        hasRenewed = true
        if (wish.isHeld && hasTimeLeft(before, leaseSeconds)) throw complaint
        await deleteEntry(client, endpoint, externalPort, call)
        continue
      }
      permanentOnce = false
      if (await goOn(afterFault(reply.fault, known))) continue
      throw complaint
    }
    const { port: granted, reading: after } = await look(reservedPort(reply) ?? externalPort, before)
    if (permanentOnce && after !== 'absent') quirks.permanent = true
    const placed: Placed = { externalPort: granted, leaseSeconds, reading: after, knownAs }
    if (after === 'unreadable') return placed
    if (after === 'absent') {
      // Some drop a mapping that ends without a word, and keep one that does not.
      externalPort = granted
      if (!isPermanent) {
        permanentOnce = true
        attempt -= 1
        continue
      }
      // The list may be wrong: what was added is undone, as after every failure.
      quirks.permanent = false
      throw natError('GRANT_INVALID', `the router says that it mapped port ${granted}, and its list says nothing`)
    }
    // Where there was nothing before, an entry to a host with a name and to our port is the one that we just added.
    if (!known && typeof after === 'object' && familyOf(after.client) === undefined && after.client !== '') {
      knownAs = after.client
    }
    if (isOurs(after, endpoint, knownAs)) {
      if (short === undefined && !quirks.shortOnly && isShort(after, leaseSeconds)) {
        short = { ...placed, knownAs }
        externalPort = granted
        permanentOnce = true
        continue
      }
      if (!known || !isNotExtended(before, after, wish)) return { ...placed, knownAs }
      // Some say yes to a renewal and let the lease run out all the same. Without its entry it is a new one.
      await deleteEntry(client, endpoint, granted, call)
      continue
    }
    complaint = natError(
      'GRANT_INVALID',
      `the router says that it mapped port ${granted}, and its list says ${whatItSays(after)}`
    )
    // Orange's FunBox maps every external port to the same internal one: then only ours will do.
    const isShifted = typeof after === 'object' && after.client === endpoint.address && after.port === granted
    if (!isShifted) throw complaint
    await deleteEntry(client, endpoint, granted, call)
    if (tried.has(endpoint.port)) throw complaint
    externalPort = endpoint.port
  }
  throw complaint ?? natError('CONFLICT', `none of ${maxTries} external ports is free`)
}

/** No other port or lease helps. */
const hopeless: ReadonlySet<number> = new Set([401, 602, 604, 605, 725, 726, 727, 728, 732, 733])

const isShort = (after: Reading, leaseSeconds: number): boolean =>
  typeof after === 'object' &&
  after.leaseSeconds > 0 &&
  after.leaseSeconds < minLeaseSeconds &&
  leaseSeconds > minLeaseSeconds

/** A renewal that was refused is tried again before the lease ends. */
const hasTimeLeft = (reading: Reading, leaseSeconds: number): boolean =>
  typeof reading !== 'object' || reading.leaseSeconds * 16 > leaseSeconds

/** The lease runs on as if it had not been renewed. */
function isNotExtended(before: Reading, after: Reading, { fullLeaseSeconds }: Wish): boolean {
  if (typeof before !== 'object' || typeof after !== 'object' || after.leaseSeconds === 0) return false
  return after.leaseSeconds <= before.leaseSeconds && after.leaseSeconds < fullLeaseSeconds - 1
}

/** A port that was not tried: a dynamic one, and then one of the range that routers allow which keep the dynamic ones for
 * themselves. The jitter of the host is good enough: the port need not be hard to guess. */
function randomPort({ random }: Host, tried: ReadonlySet<number>): number {
  const [first, count] = tried.size % 2 === 1 ? [firstDynamicPort, 65_536 - firstDynamicPort] : userPorts
  let port = first + (Math.floor(random() * count) % count)
  while (tried.has(port)) port = port === first + count - 1 ? first : port + 1
  return port
}

const whatItSays = (reading: Reading): string =>
  typeof reading === 'object' ? `that it leads to another host or port` : reading === 'absent' ? 'nothing' : reading
