import { describe, expect, it } from 'vitest'
import { formatDevice } from '../src/index.js'

describe('formatDevice', () => {
  it.each([
    ['AVM Berlin', 'FRITZ!Box 7590', 'Attic', 'AVM FRITZ!Box 7590'],
    ['NETGEAR, Inc.', 'NETGEAR R7000', null, 'NETGEAR R7000'],
    ['TP-Link', 'Archer C7', null, 'TP-Link Archer C7'],
    [null, 'Archer C7', 'Attic', 'Archer C7'],
    ['Sagemcom', null, 'Livebox', 'Sagemcom Livebox'],
    ['Sagemcom Broadband SAS', null, null, 'Sagemcom Broadband SAS'],
    [null, null, 'Attic', 'Attic'],
    [null, null, null, '']
  ])('the maker %s, the model %s and the name %s become "%s"', (manufacturer, model, name, text) => {
    expect(formatDevice({ manufacturer, model, name })).toBe(text)
  })
})
