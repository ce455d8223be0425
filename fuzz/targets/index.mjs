import { commandLine } from './command-line.mjs'
import { gateways } from './gateways.mjs'
import { peers } from './peers.mjs'
import { system } from './system.mjs'
import { texts } from './texts.mjs'

/**
 * Every decoder and parser. A target has a `corpus` of inputs of one kind (bytes or text), `run(input, random)`, what it
 * `accepts(value, input)` as a value of the right shape, and what it `refuses(error, input)`: the errors of its contract.
 */
export const targets = [...gateways, ...peers, ...system, ...texts, ...commandLine]
