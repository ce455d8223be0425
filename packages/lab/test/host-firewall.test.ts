import { describe, expect, it } from 'vitest'
import { canRunLab, openLab, withPeers } from '../src/index.js'
import { natPmpMap, serve, visit } from './support/programs.js'

const support = await canRunLab()

describe.skipIf(!support.ok)(
  `the firewall of a host${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 15_000 },
  () => {
    it('host-firewall: the router maps two ports, and the host lets in one', async () => {
      await using lab = await openLab(withPeers('host-firewall'))
      await Promise.all([8080, 8081].map((port) => serve(lab, 'home', port)))
      for (const port of [8080, 8081]) expect(await natPmpMap(lab, port)).toContain('Mapped')
      expect(await visit(lab, 'alpha', 'http://11.0.0.2:8080/')).toBe('from home, to 21.0.0.1')
      expect(await visit(lab, 'alpha', 'http://11.0.0.2:8081/')).toBe('TIMEOUT')
      // Replies and the LAN pass.
      await serve(lab, 'alpha', 80)
      expect(await visit(lab, 'home', 'http://21.0.0.1/')).toBe('from alpha, to 11.0.0.2')
      expect(await visit(lab, 'neighbour', 'http://192.168.1.2:8081/')).toBe('from home, to 192.168.1.3')
    })
  }
)
