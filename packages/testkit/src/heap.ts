/** A binary heap that returns the smallest entry first. */
export interface Heap<T> {
  readonly size: number
  push(entry: T): void
  peek(): T | undefined
  pop(): T | undefined
  /** Removes every entry that does not match, in linear time. */
  keep(wanted: (entry: T) => boolean): void
}

/** Creates an empty heap. `before` returns whether `a` comes before `b`. */
export function createHeap<T>(before: (a: T, b: T) => boolean): Heap<T> {
  let entries: T[] = []

  function at(index: number): T {
    const entry = entries[index]
    if (entry === undefined) throw new RangeError(`no entry ${index} among ${entries.length}`)
    return entry
  }

  function rise(index: number): void {
    const entry = at(index)
    let hole = index
    while (hole > 0) {
      const parent = (hole - 1) >> 1
      if (!before(entry, at(parent))) break
      entries[hole] = at(parent)
      hole = parent
    }
    entries[hole] = entry
  }

  function sink(index: number): void {
    const entry = at(index)
    const { length } = entries
    let hole = index
    for (;;) {
      let child = 2 * hole + 1
      if (child >= length) break
      if (child + 1 < length && before(at(child + 1), at(child))) child += 1
      if (!before(at(child), entry)) break
      entries[hole] = at(child)
      hole = child
    }
    entries[hole] = entry
  }

  return {
    get size() {
      return entries.length
    },
    push(entry) {
      entries.push(entry)
      rise(entries.length - 1)
    },
    peek: () => entries[0],
    pop() {
      const top = entries[0]
      const last = entries.pop()
      if (entries.length > 0 && last !== undefined) {
        entries[0] = last
        sink(0)
      }
      return top
    },
    keep(wanted) {
      entries = entries.filter(wanted)
      for (let index = (entries.length >> 1) - 1; index >= 0; index -= 1) sink(index)
    }
  }
}
