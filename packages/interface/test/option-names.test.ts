import { checkOptions, didYouMean, type OptionKinds } from '@postern/interface'
import { describe, expect, it } from 'vitest'

interface Options {
  readonly gateway?: string
  readonly port?: number
  readonly quick?: boolean
  readonly open?: () => void
  readonly part?: object
  readonly list?: readonly string[]
  readonly signal?: AbortSignal
  readonly other?: unknown
}

const kinds: OptionKinds<Options> = {
  gateway: 'string',
  port: 'number',
  quick: 'boolean',
  open: 'function',
  part: 'object',
  list: 'array',
  signal: 'signal',
  other: 'any'
}

const check = (options: unknown): void => checkOptions<Options>('thing()', options as Options, kinds)

describe('checkOptions', () => {
  it('checkOptions accepts each option with a value of its kind, and undefined as absent', () => {
    const { signal } = new AbortController()
    check({ gateway: '', port: 0, quick: false, open: () => undefined, part: {}, list: [], signal, other: null })
    check({ gateway: undefined, signal: undefined })
    check({ openUdp: () => undefined, exchangeHttp: () => undefined })
    check({})
  })

  it.each([
    [{ gatway: 'x' }, 'thing() has no option "gatway". Did you mean "gateway"?'],
    [{ Gateway: 'x' }, 'thing() has no option "Gateway". Did you mean "gateway"?'],
    [{ ports: 1 }, 'thing() has no option "ports". Did you mean "port"?'],
    [{ unlike: 1 }, 'Its options are gateway, port, quick, open, part, list, signal, other.'],
    [{ constructor: 1 }, 'thing() has no option "constructor"'],
    [{ gateway: 5 }, 'thing(): gateway is not a text: 5'],
    [{ gateway: null }, 'thing(): gateway is not a text: null'],
    [{ port: '5' }, 'thing(): port is not a number: "5"'],
    [{ quick: 'yes' }, 'quick is not true or false: "yes"'],
    [{ open: {} }, 'open is not a function: an object'],
    [{ part: [] }, 'part is not an object: an array'],
    [{ list: 'a,b' }, 'list is not an array: "a,b"'],
    [{ signal: true }, 'signal is not an AbortSignal: true'],
    [{ signal: new AbortController() }, 'signal is not an AbortSignal: an object'],
    [null, 'thing() takes an object of options, and not null'],
    ['pcp', 'thing() takes an object of options, and not "pcp"'],
    [[], 'thing() takes an object of options, and not an array'],
    [5, 'thing() takes an object of options, and not 5'],
    [{ clock: {}, random: Math.random, log: {} }, 'call thing() and pass what it returns']
  ])('checkOptions throws a TypeError that explains %j', (options, text) => {
    let thrown: unknown
    try {
      check(options)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(TypeError)
    expect(String(thrown)).toContain(text)
  })
})

describe('didYouMean', () => {
  const names = ['pcp', 'nat-pmp', 'upnp', 'manual', 'stun']
  it.each([
    ['PCP', 'pcp'],
    ['natpmp', 'nat-pmp'],
    ['nat_pmp', 'nat-pmp'],
    ['UPnP', 'upnp'],
    ['uppn', 'upnp'],
    ['manul', 'manual']
  ])('didYouMean corrects %s to %s', (word, name) => {
    expect(didYouMean(word, names)).toBe(` Did you mean "${name}"?`)
  })

  it.each(['', 'x', 'relay', 'a'.repeat(100_000)])(
    'didYouMean suggests nothing for a word that is not similar to any name',
    (word) => {
      expect(didYouMean(word, names)).toBe('')
    }
  )
})
