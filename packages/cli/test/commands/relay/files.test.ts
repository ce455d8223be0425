import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../../../bin/postern.js', import.meta.url))
const read = (path: string): string => readFileSync(new URL(`../../../../../${path}`, import.meta.url), 'utf8')
const help = execFileSync(process.execPath, [bin, 'relay', '--help'], { encoding: 'utf8' })
const options = new Set([...help.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option))

/** Returns every option of `postern relay` in a text. */
const optionsIn = (text: string): readonly string[] =>
  text.match(/(?<=[\s"[`])--[a-z]+(?:-[a-z]+)*(?=[\s"\]`=]|$)/g) ?? []

describe('the files for a relay', () => {
  it('the systemd unit starts it with options that exist', () => {
    const start = /^ExecStart=\S+\/postern relay(.*)$/m.exec(read('deploy/systemd/postern-relay.service'))?.[1] ?? ''
    expect(optionsIn(start).length).toBeGreaterThan(0)
    expect(optionsIn(start).filter((option) => !options.has(option))).toEqual([])
  })

  it('the container starts it with options that exist', () => {
    const lines = read('deploy/Containerfile').match(/^(?:ENTRYPOINT|CMD) .*$/gm) ?? []
    expect(lines[0]).toMatch(/^ENTRYPOINT \["postern", "relay"/)
    const named = lines.flatMap(optionsIn)
    expect(named.length).toBeGreaterThan(0)
    expect(named.filter((option) => !options.has(option))).toEqual([])
  })

  it('both keep the key at the default path of the relay', () => {
    const [unit, container] = [read('deploy/systemd/postern-relay.service'), read('deploy/Containerfile')]
    expect(unit).toMatch(/^Environment=XDG_STATE_HOME=\/var\/lib /m)
    expect(unit).toMatch(/^StateDirectory=postern$/m)
    expect(container).toMatch(/^ENV XDG_STATE_HOME=\/var\/lib /m)
    expect(container).toMatch(/^VOLUME \/var\/lib\/postern$/m)
  })

  it('the guide has every limit with its default, and no option that does not exist', () => {
    const rows = [...read('docs/guides/running-a-relay.md').matchAll(/^\| `(--[a-z-]+)` \|/gm)].map(
      ([, option]) => option
    )
    expect(rows.filter((option) => !options.has(option))).toEqual([])
    expect(rows).toEqual(
      expect.arrayContaining(['--max-reservations', '--per-peer', '--per-ip', '--per-network', '--duration', '--data'])
    )
  })
})
