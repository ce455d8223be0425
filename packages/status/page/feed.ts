import type { Snapshot } from '../src/model/state.js'

/** Where the page gets its data from. */
export interface Feed {
  /** Whether data arrives while the page is open. */
  readonly isLive: boolean
  /** Calls `snapshot` with each message, and `connected` when the connection begins or ends. Returns a function that stops. */
  follow(snapshot: (each: Snapshot) => void, connected: (isConnected: boolean) => void): () => void
}

/** Follows the server-sent events of a path. The browser connects again by itself. */
export const followServer = (path: string): Feed => ({
  isLive: true,
  follow(snapshot, connected) {
    const events = new EventSource(path)
    events.addEventListener('message', ({ data }) => {
      connected(true)
      snapshot(JSON.parse(String(data)))
    })
    events.addEventListener('error', () => connected(false))
    return () => events.close()
  }
})

/** Reads the data in a saved page. */
export const readSaved = (): Feed => ({
  isLive: false,
  follow(snapshot) {
    snapshot(JSON.parse(document.getElementById('data')?.textContent ?? ''))
    return () => undefined
  }
})
