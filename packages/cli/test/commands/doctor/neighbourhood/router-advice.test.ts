import { describe, expect, it } from 'vitest'
import { routerAdvice } from '../../../../src/commands/doctor/neighbourhood/router-advice.js'

const box = { manufacturer: 'AVM Berlin', model: 'FRITZ!Box 7590', name: null }

describe('routerAdvice', () => {
  it('the advice names the menus of the router in which UPnP and the forwards are', () => {
    expect(routerAdvice({ cause: 'no-mapping-service' }, box)).toEqual([
      'In the settings of this router, AVM FRITZ!Box 7590: UPnP is under: Internet > Permit Access > Port Sharing, where a device is allowed to open ports by itself; ports are forwarded by hand under: Internet > Permit Access > Port Sharing. The menus of other models may differ.'
    ])
  })

  it('the advice names only the settings that a public page documents', () => {
    const [text] = routerAdvice({ cause: 'gateway-refused' }, { ...box, manufacturer: 'MikroTik', model: 'RB4011' })
    expect(text).toBe(
      'In the settings of this router, MikroTik RB4011: UPnP is under: /ip upnp (enabled=yes). The menus of other models may differ.'
    )
  })

  it.each([
    ['nothing is known of the maker', 'no-mapping-service', { ...box, manufacturer: 'Example', model: 'X1' }],
    ['the router did not describe itself', 'no-mapping-service', null],
    ['nothing is wrong', null, box],
    ['no setting of the router is the cause', 'carrier-nat', box]
  ] as const)('there is no such advice if %s', (_, cause, device) => {
    expect(routerAdvice({ cause }, device)).toEqual([])
  })
})
