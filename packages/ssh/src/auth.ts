import { readFile } from 'node:fs/promises'
import { errorText, type NatError, natError } from '@postern/interface'
import type { AnyAuthMethod } from 'ssh2'
import { placeOf } from './errors.js'
import type { Ssh2 } from './load-ssh2.js'
import type { Settings } from './options.js'

/** The login methods of one attempt, in their order. */
export interface Logins {
  /** Resolves with the next method; undefined if none is left.
   *
   * @param accepted - the methods that the server still takes; null if it has not said it */
  next(accepted: readonly string[] | null): Promise<AnyAuthMethod | undefined>
  /** Returns the error for a login that has failed: what was tried, and what to do. */
  failure(): NatError
  /** Remembers that the login has succeeded. */
  succeeded(): void
}

/** The password that was right, in memory only, so that a reconnection does not ask for it. */
export interface Remembered {
  password: string | undefined
}

interface Method {
  /** The name of the method in the protocol (RFC 4252 §5). */
  readonly type: 'publickey' | 'password' | 'keyboard-interactive'
  /** Resolves with the method, or with undefined if it cannot be tried. */
  open(): Promise<AnyAuthMethod | undefined>
}

/** Creates the login methods for one attempt. */
export function createLogins(settings: Settings, { utils }: Ssh2, remembered: Remembered): Logins {
  const { username, agent, keyFiles, namesKeys, passphrase, password } = settings
  const tried: string[] = []
  const leftOut: string[] = []
  let accepted: readonly string[] | null = null
  let given: string | undefined

  const byAgent = (path: string): Method => ({
    type: 'publickey',
    async open() {
      tried.push(`the agent ${path}`)
      return { type: 'agent', username, agent: path }
    }
  })

  const byKey = (file: string): Method => ({
    type: 'publickey',
    async open() {
      let text: Buffer
      try {
        text = await readFile(file)
      } catch (error) {
        if (namesKeys) leftOut.push(`${file} cannot be read: ${errorText(error)}`)
        return undefined
      }
      const key = utils.parseKey(text, passphrase)
      if (key instanceof Error) {
        const isEncrypted = /encrypted|passphrase/i.test(key.message)
        leftOut.push(
          isEncrypted && passphrase === undefined
            ? `${file} is encrypted: run \`ssh-add ${file}\` and use the agent, or set \`passphrase\``
            : `${file} cannot be used: ${key.message}`
        )
        return undefined
      }
      tried.push(`the key ${file}`)
      return { type: 'publickey', username, key: text, ...(passphrase === undefined ? {} : { passphrase }) }
    }
  })

  /** The password is asked for once in an attempt, although two methods may use it. */
  async function thePassword(): Promise<string | undefined> {
    if (given === undefined && password !== undefined) given = remembered.password ?? (await password())
    return given
  }
  const byPassword: Method = {
    type: 'password',
    async open() {
      const text = await thePassword()
      tried.push('the password')
      return text === undefined ? undefined : { type: 'password', username, password: text }
    }
  }
  /** Servers with PAM ask for the password in a dialogue (RFC 4256). Only a prompt that hides the answer gets it. */
  const byDialogue: Method = {
    type: 'keyboard-interactive',
    async open() {
      const text = await thePassword()
      tried.push('the password in a dialogue')
      if (text === undefined) return undefined
      let isAnswered = false
      return {
        type: 'keyboard-interactive',
        username,
        prompt(_name, _instructions, _language, prompts, finish) {
          // Each answer is given once: a server that repeats its question has refused it.
          finish(prompts.map(({ echo }) => (echo === true || isAnswered ? '' : text)))
          isAnswered = true
        }
      }
    }
  }

  const agents = agent === undefined ? [] : [byAgent(agent)]
  const keys = keyFiles.map(byKey)
  const methods: Method[] = [
    // Servers take only a few wrong keys, so those that the user named come first.
    ...(namesKeys ? [...keys, ...agents] : [...agents, ...keys]),
    ...(password === undefined ? [] : [byPassword, byDialogue])
  ]
  let isAsked = false

  return {
    async next(left) {
      accepted = left ?? accepted
      // The answer to `none` tells which methods the server takes (RFC 4252 §5.2).
      if (!isAsked) {
        isAsked = true
        return { type: 'none', username }
      }
      for (let method = methods.shift(); method !== undefined; method = methods.shift()) {
        if (accepted !== null && !accepted.includes(method.type)) continue
        const opened = await method.open()
        if (opened !== undefined) return opened
      }
      return undefined
    },
    failure() {
      if (given !== undefined) remembered.password = undefined
      const list = tried.length === 0 ? 'no key or password to try' : `tried ${tried.join(', ')}`
      const takes = accepted === null || accepted.length === 0 ? '' : `; it takes ${accepted.join(', ')}`
      const advice =
        given !== undefined
          ? ': check the user name and the password'
          : tried.length === 0 && leftOut.length === 0
            ? ': load a key into the agent (`ssh-add`), or set `keyFile` or `password`'
            : `: add the public key to ~/.ssh/authorized_keys of ${username} there, or load another key into the agent (\`ssh-add\`), or name it with \`keyFile\``
      return natError(
        'NOT_AUTHORIZED',
        `${placeOf(settings)} refuses the login of ${username} (${[list, ...leftOut].join('; ')}${takes})${advice}`
      )
    },
    succeeded() {
      if (given !== undefined) remembered.password = given
    }
  }
}
