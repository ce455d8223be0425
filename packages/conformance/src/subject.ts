import type { Ability, Clock, DatagramTap, MultiaddrText, Network, Protocol, Strategy } from '@postern/interface'

export type AbilityKind = Ability['kind']

/** How a strategy is set up to be tested. Says nothing of what it can do: the suite asks the strategy. */
export interface Subject<W extends World = World> {
  /** A world of its own for each test, in which nothing has happened yet. Many are made. */
  world(): W | Promise<W>
  /** The strategy in that world, as `pcp(options)` is one. Called again for what another process would be. */
  create(world: W): Strategy | Promise<Strategy>
}

/** A virtual clock has both, as the testkit's has; a real one has none. */
export interface WorldClock extends Clock {
  /** Lets time pass, and lets all that happens meanwhile happen. */
  advance?(ms: number): Promise<void>
  /** How many sleeps are under way. */
  readonly pending?: number
}

/**
 * What is around a strategy. Whatever is left out cannot be looked at or done there: tests that need it are skipped, and
 * say so.
 */
export interface World {
  readonly clock: WorldClock
  /** Where this host stands. The strategy finds its abilities there. */
  readonly network: Network
  /** What is mapped outside at this moment, ours and others'. */
  mappings?(): readonly OutsideMapping[]
  /** How many requests the outside has seen from everybody. */
  requests?(): number
  /** How many of them would change something, whether they were carried out or not. */
  changes?(): number
  /** What the outside saw that the protocol forbids, in words. */
  violations?(): readonly string[]
  /** How many sockets, processes or the like the strategy holds. */
  openHandles?(): number
  readonly faults?: WorldFaults
  /** An address that a witness here can try. */
  readonly address?: MultiaddrText
  /** A socket to lend to an observer. */
  readonly tap?: DatagramTap
  /** A peer that a puncher here can get through to. */
  readonly peerId?: string
  /** Called when the test is over. */
  close?(): void | Promise<void>
}

/** What can be done to the outside. Resolves once it is in force. */
export interface WorldFaults {
  /** Nothing is answered any more. */
  silence?(): void | Promise<void>
  /** Whatever would change something is answered with no. */
  refuse?(): void | Promise<void>
  /** Another host gets this external port. */
  occupy?(protocol: Protocol, externalPort: number): void | Promise<void>
  /** Mappings are granted for ten minutes at most. */
  shorten?(): void | Promise<void>
  /** Every answer comes so much later, in ms. */
  slow?(ms: number): void | Promise<void>
  /** All mappings are lost. */
  reboot?(): void | Promise<void>
  /** The external IPv4 address becomes another one. Mappings stay. */
  move?(): void | Promise<void>
}

/** One rule of the gateway, or of whatever takes its place. */
export interface OutsideMapping {
  readonly protocol: Protocol
  readonly externalAddress: string
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
  /** Monotonic time of the world's clock, or `Infinity`. */
  readonly expiresAt: number
}
