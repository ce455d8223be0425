import { type CallOptions, isNatError } from '@postern/interface'
import { faultError, type SoapReply } from '../device/soap.js'
import { type Addition, add } from './add-port.js'
import { isOurs, isUseless, type Reading, readEntry } from './port-entry.js'
import type { Wish } from './types.js'

/** One attempt to add or refresh an entry. */
export interface Try {
  readonly externalPort: number
  readonly leaseSeconds: number
  /** The entry belongs to this host already. */
  readonly known: boolean
  /** The entry in the list before the attempt. */
  readonly before: Reading
  /** The name that the router uses for this host instead of an address. */
  readonly knownAs: string | undefined
}

/** Returns whether a lease was renewed: more time is left than before, all of the requested time is left, or less is
 * left because less was requested. A permanent one needs no renewal. */
const isRenewed = (reading: Reading, before: Reading, leaseSeconds: number): boolean =>
  typeof reading === 'object' &&
  typeof before === 'object' &&
  (before.leaseSeconds === 0 ||
    reading.leaseSeconds > before.leaseSeconds ||
    reading.leaseSeconds >= leaseSeconds - 1 ||
    (before.leaseSeconds > leaseSeconds && reading.leaseSeconds <= leaseSeconds))

const done: SoapReply = { ok: true, values: new Map() }

/** Adds or refreshes an entry. Some routers carry the request out but send no answer, a reset, or a failure without a
 * reason. The request counts as granted if the list then shows a new entry, or one with another end than before. */
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

/** Returns whether a fault may mean only that the entry of this host exists already. */
export const isRefusedAgain = (fault: number): boolean => ![401, 602, 724, 725].includes(fault)
