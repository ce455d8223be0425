import { type CallOptions, isNatError } from '@postern/interface'
import { add, type Addition } from './port-addition.js'
import { isOurs, isUseless, type Reading, readEntry } from './port-entry.js'
import type { Wish } from './port-mapping.js'
import { faultError, type SoapReply } from './soap.js'

export interface Try {
  readonly externalPort: number
  readonly leaseSeconds: number
  /** The entry is ours already. */
  readonly known: boolean
  /** What the list said before. */
  readonly before: Reading
  /** What the router calls this host, where that is no address. */
  readonly knownAs: string | undefined
}

/** A lease that was renewed has more of it left than before, all of it, or less where less was asked for. One without an end
 * needs no renewal. */
const isRenewed = (reading: Reading, before: Reading, leaseSeconds: number): boolean =>
  typeof reading === 'object' &&
  typeof before === 'object' &&
  (before.leaseSeconds === 0 ||
    reading.leaseSeconds > before.leaseSeconds ||
    reading.leaseSeconds >= leaseSeconds - 1 ||
    (before.leaseSeconds > leaseSeconds && reading.leaseSeconds <= leaseSeconds))

const done: SoapReply = { ok: true, values: new Map() }

/** Adds or refreshes an entry. Some do it and answer with nothing, a reset or a failure without a reason: an entry that was not
 * there before, or that ends at another time than before, is granted. */
export async function addOrFind(
  wish: Wish,
  { externalPort, leaseSeconds, known, before, knownAs }: Try,
  additions: Addition[],
  call: CallOptions
): Promise<SoapReply> {
  const { client, request } = wish
  const isTold = known || before === 'absent'
  const isDone = async (): Promise<boolean> => {
    const reading = await readEntry(client, request.endpoint, externalPort, call)
    const refused = additions.findIndex((each) => each.externalPort === externalPort)
    if (reading === 'absent' && refused >= 0) additions.splice(refused)
    return (
      isOurs(reading, request.endpoint, knownAs) && (before === 'absent' || isRenewed(reading, before, leaseSeconds))
    )
  }
  try {
    const reply = await add(wish, externalPort, leaseSeconds, known, additions, call)
    const isDoubtful = !reply.ok && isTold && isUseless(faultError('', reply.fault, '').code)
    return isDoubtful && (await isDone()) ? done : reply
  } catch (error) {
    call.signal.throwIfAborted()
    const isOpen = isNatError(error) && (isUseless(error.code) || error.code === 'NO_REPLY')
    if (!isTold || !isOpen || !(await isDone())) throw error
    return done
  }
}

/** Refusals that are of no use for an entry of our own: it is there already. */
export const isRefusedAgain = (fault: number): boolean => ![401, 602, 724, 725].includes(fault)
