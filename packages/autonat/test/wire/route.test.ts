import { type Route, routeOf } from '@postern/libp2p-utils'
import { expect, it } from 'vitest'
import { fits } from '../../src/wire/route.js'

const getRoute = (text: string): Route => {
  const route = routeOf(text)
  if (route === undefined) throw new Error(`no route: ${text}`)
  return route
}

it('a connection from any port fits an address of its family and transport', () => {
  const asked = getRoute('/ip4/11.0.0.1/tcp/443/wss')
  expect(fits(asked, getRoute('/ip4/11.2.0.1/tcp/50000/ws'))).toBe(true)
  expect(fits(asked, getRoute('/ip4/11.2.0.1/tcp/50000'))).toBe(false)
  expect(fits(asked, getRoute('/ip6/2a00::1/tcp/50000/ws'))).toBe(false)
})
