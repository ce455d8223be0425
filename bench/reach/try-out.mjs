import { Talker } from '../world.mjs'
import { openReachWorld } from './world.mjs'

/** The time for a contender to become reachable, in ms: routers that do not answer are waited for for 15 s. */
const settleMs = 25_000

/** How long a contender that is reachable may still add or drop a claim, in ms. */
const restMs = 1000

/**
 * Lets a contender make a home reachable, and a host outside try what it claims.
 *
 * @returns {Promise<{ claims: { claim: string, isReached: boolean, isRelayed: boolean }[] }>}
 */
export async function tryOut({ command, isSettled, claimsOf }, topology, signal) {
  const world = await openReachWorld(topology, signal)
  try {
    const talker = new Talker(world.lab, 'home', command(world))
    await talker.hear(isSettled, settleMs)
    await new Promise((resolve) => setTimeout(resolve, restMs))
    const line = talker.last(() => true)
    const claims = line === undefined ? [] : claimsOf(line)
    const reached = await world.visit(claims)
    await talker.end()
    return {
      claims: claims.map((claim, index) => ({
        claim,
        isReached: reached[index] === true,
        isRelayed: world.isHelper(claim)
      }))
    }
  } finally {
    await world.close()
  }
}
