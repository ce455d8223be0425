import { type NatError, natError } from '@postern/interface'
import { expect, it } from 'vitest'
import { hearAnnouncements } from '../../src/index.js'

const gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }

it.each([
  ['PORT_TAKEN', /^another program listens on UDP port 5350 and does not share it: restarts .* are noticed later/],
  ['UNREACHABLE', /^announcements to UDP port 5350 cannot be heard \(no route\): restarts .* are noticed later/]
] as const)('hearAnnouncements explains why nothing can be heard: %s', async (code, text) => {
  const told: NatError[] = []
  const options = { gateway, family: 4, group: '224.0.0.1', port: 5350, heard: () => undefined } as const
  const open = (): Promise<never> => Promise.reject(natError(code, 'no route'))
  const call = { signal: new AbortController().signal }
  expect(await hearAnnouncements({ ...options, open, unheard: (reason) => told.push(reason) }, call)).toBe(false)
  expect(told).toMatchObject([{ code, message: expect.stringMatching(text) }])
})
