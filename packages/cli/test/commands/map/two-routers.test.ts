import { describe, expect, it } from 'vitest'
import { enter, posternIn, serve, support, visit, why } from '../../support/in-lab.js'

/** The command ends without releasing anything, so a host outside can try the port afterwards. */
const once = ['map', '8080', '--once', '--no-color']

describe.skipIf(!support.ok)(`two routers in a row${why}`, { timeout: 40_000 }, () => {
  it('map --once shows the way through both, and the port is reached', async () => {
    const lab = await enter('double-nat-mapped')
    await serve(lab, 'home', 8080)
    const { code, stdout } = await posternIn(lab, once)
    const lines = stdout.split('\n')
    expect(lines.slice(0, 2)).toEqual([
      '✔ mapped   tcp 192.168.1.2:8080 → 192.168.0.2:8080 → 11.0.0.2:8080 by pcp, for 10 min',
      'Verdict: public (unverified)'
    ])
    expect(code).toBe(0)
    expect(await visit(lab, '11.0.0.2', 8080)).toBe('hello from home')
  })

  it('map --once --json has what is in between as a field', async () => {
    const lab = await enter('double-nat-mapped')
    await serve(lab, 'home', 8080)
    const { stdout } = await posternIn(lab, [...once, '--json'])
    const lines = stdout.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      {
        event: 'mapped',
        internal: { address: '192.168.1.2', port: 8080 },
        external: { address: '11.0.0.2', port: 8080 },
        through: { address: '192.168.0.2', port: 8080 },
        verdict: 'public'
      }
    ])
  })

  it('map makes no promise of a mapping at a gateway behind the next hop', async () => {
    const lab = await enter('double-nat-mapped')
    await serve(lab, 'home', 8080)
    const { stdout } = await posternIn(lab, [...once, '--via', 'nat-pmp:192.168.0.1'])
    const lines = stdout.split('\n')
    expect(lines[0]).toBe('! mapped   tcp 192.168.1.2:8080 → 11.0.0.2:8080 by nat-pmp, for 2 h')
    expect(lines[1]).toBe('Verdict: unknown (unverified)')
    expect(stdout).toContain(
      '→ 192.168.0.1 maps the port to 192.168.1.1, which is before it and passes on only what it maps or forwards itself: name no gateway, and both routers are asked.'
    )
    expect(await visit(lab, '11.0.0.2', 8080)).toBe('timeout')
  })
})
