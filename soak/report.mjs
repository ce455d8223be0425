/** How much each figure may grow between two measurements of the same work. Heap and memory vary with the collector. */
const bounds = {
  heapMb: { text: 'heap after GC, MB', mayGrow: ({ heapMb }) => Math.max(8, heapMb * 0.3) },
  rssMb: { text: 'memory (RSS), MB', mayGrow: ({ rssMb }) => Math.max(40, rssMb * 0.4) },
  descriptors: { text: 'file descriptors', mayGrow: () => 10 },
  timers: { text: 'timers', mayGrow: () => 25 },
  sockets: { text: 'sockets', mayGrow: () => 10 },
  listeners: { text: 'listeners of the process', mayGrow: () => 0 },
  unhandled: { text: 'unhandled rejections', mayGrow: () => 0 }
}

/** Compares two measurements, and what is left behind. Returns rows for people, and the problems in words. */
export function judge({ before, after, left, stop }) {
  const rows = Object.entries(bounds).map(([name, { text, mayGrow }]) => {
    const isLeak = after[name] - before[name] > mayGrow(before)
    return { text, before: before[name], after: after[name], isLeak }
  })
  const problems = rows
    .filter(({ isLeak }) => isLeak)
    .map((row) => `${row.text}: ${format(row.before)} before, ${format(row.after)} after`)
  for (const { protocol, externalPort, internalAddress, internalPort } of left)
    problems.push(`left in the router: ${protocol} ${externalPort} to ${internalAddress}:${internalPort}`)
  if (after.exposed === 0) problems.push('expose() had no address at the end')
  if (after.announced === 0) problems.push('the libp2p node announced no address at the end')
  if (stop.stoppedMs > 5000) problems.push(`the stop took ${stop.stoppedMs.toFixed(0)} ms`)
  if (!stop.endedByItself) problems.push('the process did not end by itself after the stop')
  return { rows, problems }
}

const format = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(1))

export function formatReport({ rows, problems }, { left, stop, counts, minutes, seed }) {
  const lines = [
    `${minutes.toFixed(1)} min, seed ${seed}: ${Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ')}`,
    '',
    `${''.padEnd(28)}${'before'.padStart(10)}${'after'.padStart(10)}`,
    ...rows.map(
      ({ text, before, after, isLeak }) =>
        `${text.padEnd(28)}${format(before).padStart(10)}${format(after).padStart(10)}${isLeak ? '  ✘' : ''}`
    ),
    `${'rules left in the router'.padEnd(28)}${''.padStart(10)}${String(left.length).padStart(10)}`,
    `${'stop, ms'.padEnd(28)}${''.padStart(10)}${stop.stoppedMs.toFixed(0).padStart(10)}`,
    '',
    ...problems.map((each) => `✘ ${each}`),
    problems.length === 0 ? '✔ nothing leaks, and nothing is left behind' : ''
  ]
  return lines.join('\n').trimEnd()
}
