import { describe, expect, it } from 'vitest'
import { support, why } from '../../support/in-lab.js'
import {
  mappedAddress,
  openTunnelHomes,
  readThrough,
  sendThrough,
  serveEcho,
  serveEndless
} from '../../support/tunnels.js'

describe.skipIf(!support.ok)(`postern tunnel${why}`, { timeout: 60_000 }, () => {
  it('tunnel carries 5 MB both ways, directly, between homes without mappings, and ends cleanly at SIGINT and SIGTERM', async () => {
    const homes = await openTunnelHomes('home', 'home')
    await serveEcho(homes.lab, 'home', 2200)
    const { running, peerId } = await homes.listen('2200', '--allow', homes.guest)
    const guest = homes.connect(peerId)
    expect(await guest.next('connected')).toMatchObject({ via: 'relayed' })
    expect(await guest.next('upgraded')).toMatchObject({ address: expect.stringMatching(/^\/ip4\/11\.0\.0\.2\/tcp\//) })
    expect(await sendThrough(homes.lab, 5_000_000)).toBe('same 5000000')
    guest.child.kill('SIGINT')
    expect(await guest.ended).toBe(0)
    running.child.kill('SIGTERM')
    expect(await running.ended).toBe(0)
    expect(guest.told.at(-1)).toEqual({ event: 'stopped' })
  })

  it('tunnel carries a little through the relay if both routers are symmetric, and says why', async () => {
    const homes = await openTunnelHomes('symmetric', 'symmetric')
    await serveEcho(homes.lab, 'home', 2200)
    const { peerId } = await homes.listen('2200', '--allow', homes.guest)
    const guest = homes.connect(peerId)
    await guest.next('connected')
    expect(await sendThrough(homes.lab, 10_000)).toBe('same 10000')
    expect(await guest.next('not-direct')).toMatchObject({ code: 'SYMMETRIC_NAT' })
  })

  it('a tunnel is reset, not ended, after the 128 KiB of a relay', async () => {
    const homes = await openTunnelHomes('symmetric', 'symmetric')
    await serveEcho(homes.lab, 'home', 2200)
    const { peerId } = await homes.listen('2200', '--allow', homes.guest)
    const guest = homes.connect(peerId)
    await guest.next('connected')
    expect(await sendThrough(homes.lab, 500_000)).toBe('ECONNRESET')
    await guest.next('lost')
    await guest.next('connected')
    expect(await sendThrough(homes.lab, 10_000)).toBe('same 10000')
  })

  it('tunnel connects through a mapped port if the other router is symmetric', async () => {
    const mapping = { upnp: 'igd2', natPmp: true, pcp: true } as const
    const homes = await openTunnelHomes('home', 'symmetric', { home: { mapping } })
    await serveEcho(homes.lab, 'home', 2200)
    const { running, peerId } = await homes.listen('2200', '--allow', homes.guest)
    const mapped = await mappedAddress(running)
    const guest = homes.connect(peerId)
    expect(await guest.next('connected')).toMatchObject({ via: 'relayed' })
    expect(await guest.next('upgraded')).toMatchObject({ address: expect.stringContaining(mapped) })
    expect(await sendThrough(homes.lab, 1_000_000)).toBe('same 1000000')
    guest.child.kill('SIGINT')
    expect(await guest.ended).toBe(0)
    const told = homes.connect(`${mapped}/p2p/${peerId}`)
    expect(await told.next('connected')).toMatchObject({ via: 'direct', address: expect.stringContaining(mapped) })
    expect(await sendThrough(homes.lab, 1_000_000)).toBe('same 1000000')
  })

  it.each(['listen', 'connect'] as const)(
    'has what is under way reset, not ended, when `tunnel %s` is interrupted',
    async (side) => {
      const homes = await openTunnelHomes('home', 'home')
      await serveEndless(homes.lab, 'home', 2200)
      const { running, peerId } = await homes.listen('2200', '--allow', homes.guest)
      const guest = homes.connect(peerId)
      await guest.next('upgraded')
      const reader = readThrough(homes.lab)
      await reader.begun
      const stopped = side === 'listen' ? running : guest
      stopped.child.kill('SIGINT')
      expect(await reader.end).toBe('ECONNRESET')
      expect(await stopped.ended).toBe(0)
      expect(stopped.told.at(-1)).toEqual({ event: 'stopped' })
    }
  )

  it('tunnel refuses a peer that is not allowed, and tells both sides what to do', async () => {
    const homes = await openTunnelHomes('home', 'home')
    const { running, peerId } = await homes.listen('2200')
    const guest = homes.connect(peerId)
    expect(await guest.next('refused')).toMatchObject({
      code: 'NOT_AUTHORIZED',
      hint: `postern tunnel listen <port> --allow ${homes.guest}`
    })
    expect(await guest.ended).toBe(13)
    expect(await running.next('refused')).toMatchObject({ peer: homes.guest, reason: 'not-allowed' })
  })

  it('tunnel finds the peer again after a restart, and reports a target that does not accept', async () => {
    const homes = await openTunnelHomes('home', 'home')
    const { running, peerId } = await homes.listen('2200', '--allow', homes.guest)
    const guest = homes.connect(peerId)
    await guest.next('upgraded')
    expect(await sendThrough(homes.lab, 10)).toBe('ECONNRESET')
    expect(await guest.next('failed')).toMatchObject({ reason: 'target-unreachable' })
    running.child.kill('SIGKILL')
    await guest.next('lost')
    await serveEcho(homes.lab, 'home', 2200)
    await homes.listen('2200', '--allow', homes.guest)
    await guest.next('connected')
    expect(await sendThrough(homes.lab, 10_000)).toBe('same 10000')
  })
})
