import { type Host, systemClock } from '@postern/interface'

/** The host of a program that brings none: real time, `Math.random` for jitter, and no log. */
export const systemHost: Host = {
  clock: systemClock,
  random: Math.random,
  log: { debug: () => undefined, info: () => undefined }
}
