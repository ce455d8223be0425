import { familyOf } from '@postern/interface'
import { isHostName } from '@postern/net'
import type { SshOptions } from './options.js'

/**
 * Parses `user@host`, `host:port`, `user@[2001:db8::1]:2222`, each optionally after `ssh:` or `ssh://`. Returns options that
 * take everything else from where `ssh` takes it: the agent, the keys and the known hosts of `~/.ssh`, and the name of the
 * user. Throws a TypeError that quotes the text.
 */
export function fromText(text: string): SshOptions {
  const bare = text.replace(/^ssh:(?:\/\/)?/i, '')
  const at = bare.lastIndexOf('@')
  const username = at === -1 ? undefined : bare.slice(0, at)
  const place = bare.slice(at + 1)
  const match =
    familyOf(place) === 6 ? [place, undefined, place] : /^(?:\[([^\]]+)\]|([^:/?#@\s[\]]+))(?::(\d{1,5}))?$/.exec(place)
  const [, bracketed, plain, digits] = match ?? []
  const host = bracketed ?? plain ?? ''
  const port = digits === undefined ? undefined : Number(digits)
  const isHost = bracketed === undefined ? isHostName(host) : familyOf(host) === 6
  const isUser = username === undefined || /^[^\s:/@]{1,255}$/.test(username)
  if (!isHost || !isUser || (port !== undefined && (port < 1 || port > 65_535)))
    throw new TypeError(`"${text.slice(0, 80)}" is not an SSH server: give it as user@host or user@host:port`)
  return { host, ...(username === undefined ? {} : { username }), ...(port === undefined ? {} : { port }) }
}
