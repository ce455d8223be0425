/**
 * The tests that every strategy must pass. They find out the abilities of the strategy and test these.
 *
 * @packageDocumentation
 */
export type { ConformanceTest } from './conformance.js'
export { conformance } from './conformance.js'
export type { GatewayWorld, GatewayWorldOptions } from './gateway-world.js'
export { gatewayWorld } from './gateway-world.js'
export type { AbilityKind, OutsideMapping, Subject, World, WorldClock, WorldFaults } from './subject.js'
