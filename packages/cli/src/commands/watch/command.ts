import { Command, Option } from 'commander'
import { exitCodes } from '../../shared/exit-codes.js'
import type { Output } from '../../shared/output.js'
import { parseListenPort } from '../../shared/parse.js'
import { codesText, colorOption, type Shell } from '../common.js'

interface WatchFlags {
  readonly port: number
  readonly open?: boolean
  readonly json?: boolean
}

/** The commands that can be watched, and how to add each. */
const watchable = {
  doctor: async () => (await import('../doctor/command.js')).addDoctor,
  map: async () => (await import('../map/command.js')).addMap,
  peer: async () => (await import('../peer/command.js')).addPeer
} as const

/** Adds the command `watch`. */
export function addWatch(program: Command, shell: Shell): void {
  const { output } = shell
  program
    .command('watch')
    .description(
      'Shows live in a browser of this machine how it can be reached. Runs doctor, map or peer, and serves a page about it until Ctrl-C.'
    )
    .argument('[command...]', 'the command to run, with its options after -- (default: doctor)')
    .addOption(
      new Option('--port <port>', 'the port of 127.0.0.1 for the page')
        .argParser(parseListenPort)
        .default(0, 'a free one')
    )
    .option('--open', 'open the page in the browser')
    .option('--json', 'print one JSON object per line; the URL of the page is in that with the event "listening"')
    .addOption(colorOption())
    .addHelpText(
      'after',
      `
The address of the page lets one browser in. After that another address is printed, for another browser.

Examples:
  $ postern watch
  $ postern watch --open
  $ postern watch -- doctor --witness http://203.0.113.9:4003 --witness https://witness.example.org
  $ postern watch --port 8090 -- map 8080 --via upnp
  $ postern watch -- peer --relay /ip4/203.0.113.7/tcp/4001/p2p/<peer id>
${codesText('others')}`
    )
    .action(async (words: readonly string[], { port, open = false, json = false }: WatchFlags, command: Command) => {
      const [name = 'doctor', ...given] = words
      if (!isWatchable(name)) return command.error(`error: '${name}' cannot be watched: give doctor, map or peer.`)
      const isInnerJson = json || given.includes('--json')
      const args = json && !given.includes('--json') ? [...given, '--json'] : given
      const { servePage } = await import('./serve-page.js')
      const serving = servePage({
        port,
        open,
        json,
        title: `postern ${name}`,
        output: outputOf(output, isInnerJson && !json)
      })
      const inner = new Command('postern').copyInheritedSettings(program)
      const add = await watchable[name]()
      add(inner, { ...shell, finish: () => shell.finish(exitCodes.success), watched: serving.watched })
      try {
        await inner.parseAsync([name, ...args], { from: 'user' })
      } finally {
        await serving.close()
      }
    })
}

const isWatchable = (name: string): name is keyof typeof watchable => Object.hasOwn(watchable, name)

/** Returns where the URL is written. Where a watched command writes JSON to standard output, it is the only thing there. */
const outputOf = ({ out, err }: Output, isApart: boolean): Output => (isApart ? { out: err, err } : { out, err })
