import type { ChildProcess } from 'node:child_process'
import { LabError } from './errors.js'
import { collect } from './exec.js'
import { environmentOf, spawnInside } from './namespace.js'
import { prepareTools } from './tools.js'

/**
 * Starts a command in a host of a lab that another process has opened. The command shares the terminal and ends with
 * the lab. Rejects with a LabError `LAB_CLOSED` if no lab of this user has that process, and with a TypeError for an
 * unknown host.
 *
 * @param pid - process id of the lab's first process
 */
export async function joinLab(pid: number, host: string, command: readonly string[]): Promise<ChildProcess> {
  const env = environmentOf(await prepareTools())
  const listed = await collect(
    spawnInside(pid, undefined, ['ip', 'netns', 'list'], { env, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
  )
  const hosts = listed.stdout.split('\n').flatMap((line) => /^\S+/.exec(line) ?? [])
  if (listed.code !== 0 || hosts.length === 0)
    throw new LabError(
      'LAB_CLOSED',
      `Process ${pid} is not a lab of this user: postern-lab run prints the command to join a lab.`
    )
  if (!hosts.includes(host)) throw new TypeError(`The lab has no host ${host}. It has: ${hosts.join(', ')}`)
  return spawnInside(pid, host, command, { env, stdio: 'inherit' })
}
