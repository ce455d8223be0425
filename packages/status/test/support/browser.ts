import { request } from 'node:http'
import { onTestFinished } from 'vitest'
import type { Snapshot } from '../../src/model/state.js'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly text: string
}

/** Resolves to an answer. `fetch` would not let the test set `Host`. */
export function get(url: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, method, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (data: string) => (text += data))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    sent.on('error', reject).end()
  })
}

/** A browser that was let in: the address of the page, and its cookie. */
export interface Browser {
  readonly page: string
  readonly cookie: string
}

/** Opens a URL with a token. */
export async function enter(url: string): Promise<Browser> {
  const { headers, text } = await get(url)
  const folder = /data-live="([^"]+)"/.exec(text)?.[1] ?? ''
  const cookie = (headers['set-cookie']?.[0] ?? '').replace(/;.*/, '')
  return { page: new URL(folder, url).href, cookie }
}

export interface Followed {
  readonly status: number
  /** Resolves to the next message. */
  next(): Promise<Snapshot>
  /** The messages that came and were not taken. */
  readonly waiting: readonly Snapshot[]
  /** Resolves when the server has ended the answer. */
  readonly ended: Promise<void>
  pause(): void
  resume(): void
  close(): void
}

/** Follows the events of the page. */
export function follow({ page, cookie }: Browser): Promise<Followed> {
  return new Promise((resolve, reject) => {
    const sent = request(`${page}events`, { headers: { cookie }, agent: false }, (response) => {
      const waiting: Snapshot[] = []
      const takers: ((each: Snapshot) => void)[] = []
      const ended = Promise.withResolvers<void>()
      let text = ''
      response.on('close', () => ended.resolve())
      response.on('error', () => undefined)
      response.setEncoding('utf8').on('data', (data: string) => {
        const parts = (text + data).split('\n\n')
        text = parts.pop() ?? ''
        for (const part of parts) {
          const each = JSON.parse(part.slice('data: '.length)) as Snapshot
          const taker = takers.shift()
          if (taker === undefined) waiting.push(each)
          else taker(each)
        }
      })
      resolve({
        status: response.statusCode ?? 0,
        waiting,
        ended: ended.promise,
        next: () =>
          new Promise((taken) => {
            const first = waiting.shift()
            if (first === undefined) takers.push(taken)
            else taken(first)
          }),
        pause: () => void response.pause(),
        resume: () => void response.resume(),
        close: () => sent.destroy()
      })
    })
    onTestFinished(() => void sent.destroy())
    sent.on('error', reject).end()
  })
}
