import { type Host, systemClock } from '@postern/interface'

/** The default host: the machine's clocks, `Math.random` for jitter, and no log. */
export const systemHost: Host = {
  clock: systemClock,
  random: Math.random,
  log: { debug: () => undefined, info: () => undefined }
}
