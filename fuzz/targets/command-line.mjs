// Whole command lines of `postern`: parsed, but not run.
import { createRequire } from 'node:module'
import { addDoctor } from '../../packages/cli/dist/commands/doctor/command.js'
import { addMap } from '../../packages/cli/dist/commands/map/command.js'
import { addPeer } from '../../packages/cli/dist/commands/peer/command.js'
import { addRelay } from '../../packages/cli/dist/commands/relay/command.js'
import { addTunnel } from '../../packages/cli/dist/commands/tunnel/command.js'
import { addWitness } from '../../packages/cli/dist/commands/witness/command.js'
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
