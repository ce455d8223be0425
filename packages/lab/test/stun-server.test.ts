import { afterEach, describe, expect, it } from 'vitest'
import type { Lab, Topology } from '../src/index.js'
import { canRunLab, openLab, withStun } from '../src/index.js'
import { behind } from './support/behind.js'
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

    it('tell the address that they see, and alpha answers from others when asked to', async () => {
      const lab = await enter(withStun(behind('no-daemon', { filtering: 'endpoint-independent' })))
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
    ] as const)('are heard through $filtering filtering as RFC 5780 says', async ({ filtering, otherPort }) => {
      const lab = await enter(withStun(behind('no-daemon', { filtering })))
      expect(await askStun(lab, '21.0.0.1', 6)).toBe('TIMEOUT')
      const answer = await askStun(lab, '21.0.0.1', 2)
      expect(answer === 'TIMEOUT' ? answer : answer.from).toBe(otherPort)
    })

    it('are there in IPv6 too, and behind every topology', () => {
      const { hosts } = withStun('ipv6-firewall')
      expect(hosts['alpha']).toMatchObject({
        stun: 'behaviour-discovery',
        links: [{ addresses: ['21.0.0.1/8', '21.0.0.2/8', '2a21::1/32', '2a21::2/32'] }]
      })
      expect(hosts['bravo']).toMatchObject({ stun: 'plain', links: [{ addresses: ['31.0.0.1/8', '2a31::1/32'] }] })
    })
  }
)
