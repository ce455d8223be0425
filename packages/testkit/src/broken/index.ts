import type { BrokenStrategy } from './change.js'
import { brokenDiscoveries } from './discoveries.js'
import { brokenLeases } from './leases.js'
import { brokenMaps } from './maps.js'

/** Strategies that each break one rule of the contract. They test a test suite for strategies. */
export const brokenStrategies: readonly BrokenStrategy[] = [...brokenDiscoveries, ...brokenMaps, ...brokenLeases]
