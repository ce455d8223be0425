import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

/** The properties of a machine that affect the results, without those that identify it. */
export const machineFacts = () => ({
  system: `${process.platform} ${/^[\d.]*\d/.exec(release())?.[0] ?? ''}, ${process.arch}`,
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memoryGib: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  /** Whether something else was running. */
  loadAtStart: Number(loadavg()[0]?.toFixed(2))
})
