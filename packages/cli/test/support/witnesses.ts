import type { Lab } from '@postern/lab'
import { command, folder, type Running } from './in-lab.js'

/** Starts a witness server in a host of a lab. */
export async function startWitness(lab: Lab, host: string, ...args: readonly string[]): Promise<Running> {
  const running = command(lab, ['witness', '--json', ...args], await folder(), host)
  await running.next('listening')
  return running
}

/** The options that name the witnesses of `alpha` and `bravo`. */
export const two: readonly string[] = ['--witness', 'http://21.0.0.1:4003', '--witness', '31.0.0.1:4003']
