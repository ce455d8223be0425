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

const ofUser = (name: string): string => path.join(homedir(), '.ssh', name)

/** Returns the files with private keys that `ssh` tries, whether they exist or not. */
export const defaultKeyFiles = (): readonly string[] => ['id_ed25519', 'id_ecdsa', 'id_rsa'].map(ofUser)

/** Returns the files with known hosts that `ssh` reads. */
export function defaultKnownHosts(): readonly string[] {
  const ofSystem =
    process.platform === 'win32'
      ? path.join(process.env['ProgramData'] ?? String.raw`C:\ProgramData`, 'ssh', 'ssh_known_hosts')
      : '/etc/ssh/ssh_known_hosts'
  return [ofUser('known_hosts'), ofSystem]
}

/** Replaces `~` at the start of a path by the folder of the user. */
export const expandHome = (file: string): string => (/^~[/\\]/.test(file) ? path.join(homedir(), file.slice(2)) : file)
