import { type Arrival, classOf, type Evidence, natError } from '@postern/interface'

/** What an arrival can prove. */
export interface Scene {
  /** The name of the witness in messages. */
  readonly name: string
  /** The external IP address that is verified. */
  readonly external: string
  /** Returns whether an address is outside of the network of this host. */
  readonly isOutside: (address: string) => boolean
}

/** Returns evidence without an outcome, with the reason. */
export const unproven = (message: string): Evidence => ({
  outcome: 'inconclusive',
  reason: natError('WITNESS_UNPROVEN', message)
})

/** Returns why an arrival from this address proves nothing; undefined if it comes from outside. */
export function whyNoProof(address: string, { external, isOutside }: Scene): string | undefined {
  if (address === external)
    return `it came from ${address}, the external address itself: the router returns it from inside (hairpin), and nothing is known of outside`
  if (isOutside(address)) return undefined
  const kind = classOf(address)
  if (kind === 'loopback')
    return `it came from ${address}: a forwarder of this machine carries it, and hides where it comes from`
  if (kind === 'global') return `it came from ${address}, which is in the network of this host`
  return `it came from ${address}: a router on the way replaces the address of the sender, and hides where it comes from`
}

/** Returns the evidence of a witness that says that it connected, while no connection from its place arrived. */
export function judgeMissing(arrivals: readonly Arrival[], scene: Scene): Evidence {
  const { name } = scene
  const reasons = new Set(arrivals.map(({ remoteAddress }) => whyNoProof(remoteAddress, scene)))
  const [why] = [...reasons].filter((each) => each !== undefined)
  if (why !== undefined) return unproven(`${name} says that it connected. A connection arrived meanwhile, and ${why}`)
  return unproven(`${name} says that it connected, and no connection from it arrived here`)
}
