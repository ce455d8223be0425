import { once } from 'node:events'
import { betweenTiers } from '@postern/lab'
import { expect, it } from 'vitest'
import { openWorld, skipped, support } from '../../packages/libp2p/test/support/world.js'
import { startExample } from './program.js'

const echo = `require('node:net').createServer({ allowHalfOpen: true }, (s) => s.pipe(s)).listen(2200, '127.0.0.1', () => console.log('ready'))`
const visit = `
  const socket = require('node:net').connect({ host: '127.0.0.1', port: 2222, allowHalfOpen: true })
  let count = 0
  socket.on('data', (data) => { count += data.length })
    .on('end', () => console.log('whole ' + count)).on('error', ({ code }) => console.log(code))
  socket.end(Buffer.alloc(1_000_000))`

const hold = `
  const socket = require('node:net').connect({ host: '127.0.0.1', port: 2222 })
  socket.on('data', () => console.log('begun')).on('end', () => console.log('ended')).on('error', ({ code }) => console.log(code))
  socket.write('x')`

it.skipIf(!support.ok)(
  `examples/tunnel carries a service directly between homes that map nothing, for allowed peers only${skipped}`,
  { timeout: 60_000 },
  async () => {
    await using world = await openWorld(betweenTiers('home', 'home'))
    const { lab, peerAddresses } = world
    const service = lab.spawn('home', [process.execPath, '-e', echo], { stdio: 'pipe' })
    await new Promise((resolve) => service.stdout?.once('data', resolve))
    await using there = startExample(lab, 'home', 'tunnel/index.js', ['listen', '2200', ...peerAddresses])
    await using here = startExample(lab, 'home2', 'tunnel/index.js', ['connect', '2222', ...peerAddresses])
    const use = async (): Promise<string> => (await lab.run('home2', [process.execPath, '-e', visit])).stdout.trim()

    const announced = await there.until(/^addresses: .*\/p2p-circuit/)
    here.tell(announced.split(' ').find((each) => each.includes('/p2p-circuit')) ?? '')
    expect(await here.until(/^(direct|relayed):/)).toMatch(/^direct: \/ip4\/11\.0\.0\.2\/tcp\//)
    expect(await use()).toBe('ECONNRESET')
    const guest = (await here.until(/^id: /)).replace('id: ', '')
    expect(await there.until(/^refused: /)).toBe(`refused: ${guest}`)
    there.tell(guest)
    await expect.poll(use).toBe('whole 1000000')

    const { stdout } = lab.spawn('home2', [process.execPath, '-e', hold], { stdio: 'pipe' })
    if (stdout === null) throw new Error('nothing to read')
    expect(String((await once(stdout, 'data'))[0])).toBe('begun\n')
    const rest = once(stdout, 'data')
    expect(await there.end()).toBe(0)
    expect(String((await rest)[0])).toBe('ECONNRESET\n')
    expect(await here.end()).toBe(0)
  }
)
