import { homedir, userInfo } from 'node:os'
import path from 'node:path'

/** Returns the name of the user of this process. */
export function systemUser(): string {
  try {
    return userInfo().username
  } catch {
    // The user has no entry in the list of users, as in some containers. The environment is what `ssh` cannot use either.
    return process.env['USER'] ?? process.env['USERNAME'] ?? 'root'
  }
}

/** Returns the agent that `ssh` would use. */
export function defaultAgent(): string | undefined {
  const named = process.env['SSH_AUTH_SOCK']
  if (named !== undefined && named !== '') return named
  return process.platform === 'win32' ? String.raw`\\.\pipe\openssh-ssh-agent` : undefined
}

/** Returns the folder of the user; undefined if there is none, as in containers that run as a number without an entry in
 * the list of users. A relative one would be that of another user. */
function homeFolder(): string | undefined {
  for (const find of [homedir, () => userInfo().homedir]) {
    try {
      const folder = find()
      if (path.isAbsolute(folder)) return folder
    } catch {
      // The next one may be known.
    }
  }
  return undefined
}

function ofUser(...names: readonly string[]): readonly string[] {
  const folder = homeFolder()
  return folder === undefined ? [] : names.map((name) => path.join(folder, '.ssh', name))
}

/** Returns the files with private keys that `ssh` tries, whether they exist or not. */
export const defaultKeyFiles = (): readonly string[] => ofUser('id_ed25519', 'id_ecdsa', 'id_rsa')

/** Returns the files with known hosts that `ssh` reads. */
export function defaultKnownHosts(): readonly string[] {
  const ofSystem =
    process.platform === 'win32'
      ? path.join(process.env['ProgramData'] ?? String.raw`C:\ProgramData`, 'ssh', 'ssh_known_hosts')
      : '/etc/ssh/ssh_known_hosts'
  return [...ofUser('known_hosts'), ofSystem]
}

/** Replaces `~` at the start of a path by the folder of the user. */
export function expandHome(file: string): string {
  const folder = homeFolder()
  return folder !== undefined && /^~[/\\]/.test(file) ? path.join(folder, file.slice(2)) : file
}
