import { describe, expect, it } from 'vitest'
import { connectCommand } from '../../../src/commands/tunnel/listen.js'

describe('the command that postern tunnel prints for the other home', () => {
  it('the command for the other home has a relay and an unprivileged port', () => {
    expect(connectCommand('PEER', 22, [])).toBe('postern tunnel connect PEER 8022 --relay RELAY')
    expect(connectCommand('PEER', 8080, ['/ip4/1.2.3.4/tcp/1/p2p/R'])).toBe(
      'postern tunnel connect PEER 8080 --relay /ip4/1.2.3.4/tcp/1/p2p/R'
    )
  })
})
