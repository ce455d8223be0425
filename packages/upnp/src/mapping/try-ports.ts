import { type CallOptions, familyOf, type Host, type NatError, natError } from '@postern/interface'
import { slowGapMs } from '../device/device.js'
import { faultError } from '../device/soap.js'
import { type Addition, reservedPort } from './add-port.js'
import { addOrFind, isRefusedAgain } from './check-port.js'
import { askedLeaseSeconds } from './lease-time.js'
import { deleteEntry, findOwnPort, isOurs, isVague, type Reading, readEntry } from './port-entry.js'
import type { Wish } from './types.js'

/** How many external ports are tried, the suggested one and random ones, before the call fails with `CONFLICT`. */
const maxTries = 8
/** How many further tries follow refusals without a reason: the other kind of lease, then other ports. */
const maxGuesses = 3
/** The minimum useful lease, in seconds. DD-WRT grants some seconds, but keeps permanent mappings, so a permanent one
 * is tried after a shorter lease. */
const minLeaseSeconds = 60
/** If mappings are missing twice within this time, in ms, the router drops them: mappings are checked every 15 minutes,
 * and routers do not restart that often. */
const lossesMs = 20 * 60_000
/** The first dynamic port (RFC 6335 §6). */
const firstDynamicPort = 49_152
/** The user ports that routers with a restricted range allow most often: the first one, and their number. */
const userPorts = [10_000, 22_768] as const

/** A mapping that was created. */
export interface Placed {
  readonly externalPort: number
  /** The requested lease. */
  readonly leaseSeconds: number
  /** The entry in the list afterwards. */
  readonly reading: Reading
  /** The name that the router uses for this host instead of an address. */
  readonly knownAs: string | undefined
}

/** What to try after a refusal: the same port, the internal port, a random one, the port of an existing entry of this
 * host, or nothing. */
type Next = 'same' | 'internal' | 'random' | 'own' | 'stop'

/** Creates or refreshes a mapping. After a refusal it tries another lease or another port, a limited number of
 * times. */
export async function tryPorts(wish: Wish, additions: Addition[], call: CallOptions): Promise<Placed> {
  const { client, request, host, quirks } = wish
  const { endpoint } = request
  const tried = new Set<number>()
  let { externalPort, knownAs } = wish
  let complaint: NatError | undefined
  let guesses = 0
  let conflicts = 0
  /** The number of ports that the router does not show. A second random port is unlikely to belong to another host, so
   * the router shows no entries at all then. */
  let hidden = 0
  /** Whether a permanent lease is tried for this port only. */
  let permanentOnce = false
  /** Whether the entry of this host was deleted so that it can be added again. */
  let hasRenewed = false
  /** Whether the list was searched for an entry of an earlier run. */
  let hasLooked = false
  /** A short lease that was granted, kept while a permanent one is tried. */
  let short: Placed | undefined

  /** Chooses the next attempt after a refusal. Resolves to false if nothing is left to try. */
  async function goOn(next: Next): Promise<boolean> {
    if (next === 'stop') return false
    if (next === 'same') return true
    if (next === 'internal' && !tried.has(endpoint.port)) externalPort = endpoint.port
    else {
      // Some routers map an internal port only once, so an entry of an earlier run under another external port is in
      // the way. Reuse it. If the refusal does not prove that, reuse only an entry with our description, so that the
      // entry of another program stays.
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

  /** Reads the entry that was just added. Some routers list it a moment later, and some list another port than they
   * report. */
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
    // Some routers return 501 or 402 for a taken port, for a lease that is not permanent, and for a port outside their
    // range.
    guesses += 1
    if (guesses > maxGuesses) return 'stop'
    if (guesses === 1 && fault !== 606) {
      // Try the other kind of lease. A router that granted only permanent ones may have been updated.
      permanentOnce = !quirks.permanent
      quirks.permanent = false
      return 'same'
    }
    return 'random'
  }

  for (let attempt = 0; attempt < maxTries + guesses; attempt += 1) {
    tried.add(externalPort)
    const before = await read(externalPort)
    // The list need not show where an entry of a held mapping leads, or show anything: an unreadable list is no reason
    // to delete it.
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
      // Do not overwrite it: miniupnpd allows that for entries of other programs on this host, and old firmware for
      // entries of all hosts.
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
        // Some routers do not even let the owner add an existing entry again, with 718 or another fault. So delete it
        // first, but only when it would end soon anyway, because the router may refuse to add it afterwards.
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
      // Some routers silently drop a mapping with a lease, and keep a permanent one.
      externalPort = granted
      if (!isPermanent) {
        permanentOnce = true
        attempt -= 1
        continue
      }
      // The list may be wrong, so the addition is undone, as after every failure.
      quirks.permanent = false
      throw natError('GRANT_INVALID', `the router says that it mapped port ${granted}, but its list does not show it`)
    }
    // If there was no entry before, one with a host name and our port is the one that was just added.
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
      // Some routers accept a renewal and let the lease expire anyway. Delete the entry, so that the next attempt adds
      // a new one.
      await deleteEntry(client, endpoint, granted, call)
      continue
    }
    complaint = natError(
      'GRANT_INVALID',
      `the router says that it mapped port ${granted}, but its list ${whatItSays(after)}`
    )
    // Orange's FunBox maps every external port to the same internal port, so only the internal port number works.
    const isShifted = typeof after === 'object' && after.client === endpoint.address && after.port === granted
    if (!isShifted) throw complaint
    await deleteEntry(client, endpoint, granted, call)
    if (tried.has(endpoint.port)) throw complaint
    externalPort = endpoint.port
  }
  throw complaint ?? natError('CONFLICT', `none of ${maxTries} external ports is free`)
}

/** The faults after which no other port or lease helps. */
const hopeless: ReadonlySet<number> = new Set([401, 602, 604, 605, 725, 726, 727, 728, 732, 733])

const isShort = (after: Reading, leaseSeconds: number): boolean =>
  typeof after === 'object' &&
  after.leaseSeconds > 0 &&
  after.leaseSeconds < minLeaseSeconds &&
  leaseSeconds > minLeaseSeconds

/** Returns whether enough of the lease is left to try a refused renewal again. */
const hasTimeLeft = (reading: Reading, leaseSeconds: number): boolean =>
  typeof reading !== 'object' || reading.leaseSeconds * 16 > leaseSeconds

/** Returns whether the lease continues as if it had not been renewed. */
function isNotExtended(before: Reading, after: Reading, { fullLeaseSeconds }: Wish): boolean {
  if (typeof before !== 'object' || typeof after !== 'object' || after.leaseSeconds === 0) return false
  return after.leaseSeconds <= before.leaseSeconds && after.leaseSeconds < fullLeaseSeconds - 1
}

/** Returns a random port that was not tried: alternately a dynamic one, and one of the range that is allowed by routers
 * that reserve the dynamic ports. `host.random` is good enough: the port need not be hard to guess. */
function randomPort({ random }: Host, tried: ReadonlySet<number>): number {
  const [first, count] = tried.size % 2 === 1 ? [firstDynamicPort, 65_536 - firstDynamicPort] : userPorts
  let port = first + (Math.floor(random() * count) % count)
  while (tried.has(port)) port = port === first + count - 1 ? first : port + 1
  return port
}

const whatItSays = (reading: Reading): string =>
  typeof reading === 'object'
    ? `shows another host or port`
    : reading === 'absent'
      ? 'does not show it'
      : `is ${reading}`
