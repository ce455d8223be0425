// Whole command lines of `postern`: parsed, but not run.
import { createRequire } from 'node:module'
import { addDoctor } from '../../packages/cli/src/commands/doctor/command.ts'
import { addMap } from '../../packages/cli/src/commands/map/command.ts'
import { addPeer } from '../../packages/cli/src/commands/peer/command.ts'
import { addRelay } from '../../packages/cli/src/commands/relay/command.ts'
import { addTunnel } from '../../packages/cli/src/commands/tunnel/command.ts'
import { addWitness } from '../../packages/cli/src/commands/witness/command.ts'
import { textsOf } from '../corpus/index.mjs'
import { refusals } from '../decoders.mjs'

const { Command } = createRequire(new URL('../../packages/cli/package.json', import.meta.url))('commander')
const quiet = { write: () => true }
const shell = { output: { out: quiet, err: quiet }, finish: () => undefined }

function silence(command) {
  command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
  command.action(() => undefined)
  for (const each of command.commands) silence(each)
}

export const commandLine = [
  {
    name: 'command-line',
    corpus: textsOf('command-lines'),
    // The kernel passes no longer argument (MAX_ARG_STRLEN of Linux).
    largest: 128 * 1024,
    run(text) {
      const program = new Command('postern')
      for (const add of [addDoctor, addMap, addRelay, addWitness, addPeer, addTunnel]) add(program, shell)
      silence(program)
      program.parse(text.split(' '), { from: 'user' })
      return program
    },
    accepts: (program) => program instanceof Command,
    refuses: refusals.commandLine
  }
]
