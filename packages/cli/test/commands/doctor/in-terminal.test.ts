import { describe, expect, it } from 'vitest'
import { enter, posternIn, why } from '../../support/in-lab.js'
import { hasScript, inTerminal } from '../../support/pseudo-terminal.js'
import { shownLines } from '../../support/screen.js'

const missing = why || (hasScript ? '' : ' (skipped: there is no `script` of util-linux)')

describe.skipIf(missing !== '')(`postern in a terminal${missing}`, { timeout: 60_000 }, () => {
  it('doctor says each second what it asks, and leaves only the report', async () => {
    const lab = await enter('silent')
    const text = await inTerminal(lab, ['doctor'])
    const asking = 'Asking the router 192.168.1.1 over PCP, NAT-PMP and UPnP …'
    for (const seconds of ['', ' 1 s', ' 2 s', ' 3 s', ' 4 s']) expect(text).toContain(`${asking}${seconds}\u001b`)
    expect(text).toContain('Releasing the port …')
    // There is no mapping to ask for again, and no STUN server.
    expect(text).not.toMatch(/mapping again|STUN/)
    const lines = shownLines(text)
    expect(lines[0]).toBe('Verdict: private (no-mapping-service)')
    expect(lines).toContain('│ This machine ├───────╢ ✘ Router    ╟╌╌╌╌╌╌╌┤ Internet │')
    expect(lines.join('\n')).not.toMatch(/…|Asking|Releasing/)
    expect(lines.at(-1)).toBe('')
  })

  it('without colours, doctor draws with ASCII', async () => {
    const lines = shownLines(await inTerminal(await enter('no-daemon'), ['doctor', '--no-color']))
    expect(lines).toContain('| This machine +-------# X Router    #.......+ Internet |')
  })

  it.each([/Starting/, /Asking the router/, /Asking the router.* 1 s/])(
    'Ctrl-C at %s leaves a clean line',
    async (interruptAt) => {
      const lines = shownLines(await inTerminal(await enter('silent'), ['doctor'], { interruptAt }))
      expect(lines.join('\n')).not.toMatch(/…|\^C./)
      expect(lines.at(-1)).toBe('')
    }
  )

  it('map says what it waits for until it has told the result, and what it releases', async () => {
    const text = await inTerminal(await enter('silent'), ['map', '8080'], { interruptAt: /Asking the router.* 1 s/ })
    expect(text).toContain('no program listens on tcp port 8080')
    expect(text).toContain('Releasing the mapping …')
    expect(shownLines(text).join('\n')).not.toMatch(/ …/)
  })

  it('map stays silent while the mapping is kept', async () => {
    const text = await inTerminal(await enter('home'), ['map', '8080'], { interruptAt: /upnp.*standby/ })
    expect(text).toMatch(/mapped/)
    expect(shownLines(text).join('\n')).not.toMatch(/ …/)
  })

  it('peer says that it loads libp2p, and what it waits for', async () => {
    const text = await inTerminal(await enter('silent'), ['peer'], { interruptAt: /Asking the router.* 1 s/ })
    expect(text).toMatch(/^[^\n]*Loading libp2p …/)
    expect(text).toContain('Releasing everything …')
    expect(shownLines(text).join('\n')).not.toMatch(/ …/)
  })

  it('in a pipe there is no line that changes, and the picture is ASCII', async () => {
    const { stdout, stderr } = await posternIn(await enter('no-daemon'), ['doctor'])
    expect(stdout).toContain('| This machine +-------# X Router    #.......+ Internet |\n')
    for (const control of ['\u001b', '\r']) expect(stdout + stderr).not.toContain(control)
    expect(stderr).toBe('Trying with a port of this program …\n')
  })
})
