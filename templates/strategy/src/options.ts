import { type CallOptions, checkOptions, familyOf } from '@postern/interface'

/** The service that opens ports. Both calls reject with the reason of the signal when it aborts, as `fetch` does. */
export interface PortService {
  /** Resolves with false if the service refuses the port. */
  open(port: number, call: CallOptions): Promise<boolean>
  /** Idempotent: closing a port that is not open changes nothing. */
  close(port: number, call: CallOptions): Promise<void>
}

export interface PortServiceOptions {
  /** The public IPv4 address that the service forwards from. */
  readonly externalAddress: string
  /** The client of the service. */
  readonly service: PortService
}

/** Reads the options once. Throws a TypeError for an option that is wrong. */
export function readOptions(options: PortServiceOptions): PortServiceOptions {
  checkOptions('portService()', options, { externalAddress: 'any', service: 'any' })
  const { externalAddress, service } = options
  if (familyOf(externalAddress) !== 4) throw new TypeError(`externalAddress is not an IPv4 address: ${externalAddress}`)
  return { externalAddress, service }
}
