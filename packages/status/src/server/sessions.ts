import { randomBytes, timingSafeEqual } from 'node:crypto'

/** How many browsers may be let in at the same time. The one that was let in first is shut out then. */
const maxSessions = 16
const secretBytes = 16

/** The browsers that may see the page: one for each token. */
export interface Sessions {
  /** Returns the token that has not been used yet. */
  token(): string
  /** Returns whether this is the token that has not been used yet. */
  isToken(text: string): boolean
  /** Uses the token, and returns the value of a cookie for it. Afterwards there is another token. */
  open(): string
  /** Returns whether a cookie has one of the values that were returned. */
  isOpen(value: string | undefined): boolean
}

/** Creates the sessions of one server. */
export function createSessions(): Sessions {
  const values: string[] = []
  let token = secret()
  return {
    token: () => token,
    isToken: (text) => isSame(text, token),
    open() {
      const value = secret()
      token = secret()
      values.push(value)
      if (values.length > maxSessions) values.shift()
      return value
    },
    isOpen: (value) => value !== undefined && values.some((each) => isSame(value, each))
  }
}

/** Returns a text of 22 characters that cannot be guessed. */
export const secret = (): string => randomBytes(secretBytes).toString('base64url')

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
