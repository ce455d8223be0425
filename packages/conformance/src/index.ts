/**
 * The tests that every strategy passes. They ask the strategy what it finds and test that, and the absence of the rest.
 *
 * @packageDocumentation
 */
export type { ConformanceTest } from './conformance.js'
export { conformance } from './conformance.js'
export type { GatewayWorld, GatewayWorldOptions } from './gateway-world.js'
export { gatewayWorld } from './gateway-world.js'
export type { AbilityKind, OutsideMapping, Subject, World, WorldClock, WorldFaults } from './subject.js'
