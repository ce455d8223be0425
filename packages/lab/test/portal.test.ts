import { describe, expect, it } from 'vitest'
import { canRunLab, openLab } from '../src/index.js'
import { serve } from './support/programs.js'

const support = await canRunLab()

/** Requests a page, and writes its status and where it leads. */
const look = (url: string): readonly string[] => [
  process.execPath,
  '-e',
  `require('node:http').get('${url}', { agent: false }, ({ statusCode, headers }) => {
    console.log(statusCode, headers.location ?? '')
    process.exit()
  })`
]

describe.skipIf(!support.ok)(
  `a captive portal${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 15_000 },
  () => {
    it('leads every web page of the LAN to its login page, and nothing else', async () => {
      await using lab = await openLab('captive-portal')
      await Promise.all([80, 8080].map((port) => serve(lab, 'internet', port)))
      const login = 'http://192.168.1.1:8880/login?mac=00-00-5e-00-53-01'
      expect((await lab.run('home', look('http://11.0.0.1/generate_204'))).stdout).toBe(`302 ${login}\n`)
      expect((await lab.run('neighbour', look('http://12.34.56.78/'))).stdout).toBe(`302 ${login}\n`)
      expect((await lab.run('home', look('http://11.0.0.1:8080/'))).stdout).toBe('200 \n')
    })

    it('is not there in other topologies', async () => {
      await using lab = await openLab('home')
      await serve(lab, 'internet', 80)
      expect((await lab.run('home', look('http://11.0.0.1/generate_204'))).stdout).toBe('200 \n')
    })
  }
)
