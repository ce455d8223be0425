import { afterEach, describe, expect, it } from 'vitest'
import type { Lab, Topology } from '../src/index.js'
import { canRunLab, openLab, withRouter, withStun } from '../src/index.js'
import { askStun } from './support/datagrams.js'

const support = await canRunLab()

describe.skipIf(!support.ok)(
  `STUN servers${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 15_000 },
  () => {
    const open: Lab[] = []
    const enter = async (topology: Topology): Promise<Lab> => {
      const lab = await openLab(topology)
      open.push(lab)
      return lab
    }
    afterEach(async () => {
      await Promise.all(open.splice(0).map((lab) => lab.close()))
    })

    it('STUN servers report the observed address, and alpha can answer from another address and port', async () => {
      const lab = await enter(withStun(withRouter('no-daemon', { filtering: 'endpoint-independent' })))
      const mapped = '11.0.0.2:6000'
      const other = '21.0.0.2:3479'
      expect(await askStun(lab, lab.address('bravo'))).toEqual({ mapped, from: '31.0.0.1:3478' })
      expect(await askStun(lab, lab.address('alpha'))).toEqual({ mapped, other, from: '21.0.0.1:3478' })
      expect(await askStun(lab, '21.0.0.1', 2)).toEqual({ mapped, other, from: '21.0.0.1:3479' })
      expect(await askStun(lab, '21.0.0.1', 6)).toEqual({ mapped, other, from: '21.0.0.2:3479' })
    })

    it.each([
      { filtering: 'address-dependent', otherPort: '21.0.0.1:3479' },
      { filtering: 'address-and-port-dependent', otherPort: 'TIMEOUT' }
    ] as const)(
      'answers of STUN servers pass $filtering filtering as in RFC 5780',
      async ({ filtering, otherPort }) => {
        const lab = await enter(withStun(withRouter('no-daemon', { filtering })))
        expect(await askStun(lab, '21.0.0.1', 6)).toBe('TIMEOUT')
        const answer = await askStun(lab, '21.0.0.1', 2)
        expect(answer === 'TIMEOUT' ? answer : answer.from).toBe(otherPort)
      }
    )

    it('STUN servers support IPv6 if the internet has it', async () => {
      const lab = await enter(withStun('ipv6-firewall'))
      const listening = async (host: string): Promise<string[]> => {
        const { stdout } = await lab.run(host, ['ss', '-Hlun'])
        return [...new Set(stdout.match(/\S+:347[89]\b/g))].toSorted()
      }
      expect(await listening('alpha')).toEqual(
        ['21.0.0.1', '21.0.0.2', '[2a21::1]', '[2a21::2]'].flatMap((address) => [`${address}:3478`, `${address}:3479`])
      )
      expect(await listening('bravo')).toEqual(['31.0.0.1:3478', '[2a31::1]:3478'])
    })
  }
)
