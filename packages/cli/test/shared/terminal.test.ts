import { afterEach, expect, it, vi } from 'vitest'
import { drawsBoxes } from '../../src/shared/terminal.js'

afterEach(() => vi.unstubAllEnvs())

const linux = (env: NodeJS.ProcessEnv, isTTY = true): boolean => drawsBoxes({ isTTY }, { env, platform: 'linux' })

it.each([
  [{ LANG: 'en_US.UTF-8' }, true],
  [{ LANG: 'C.utf8' }, true],
  [{ LANG: 'en_US.UTF-8', LC_CTYPE: 'C' }, false],
  [{ LANG: 'C', LC_CTYPE: 'de_DE.ISO-8859-1', LC_ALL: 'en_US.UTF-8' }, true],
  [{ LANG: 'en_US.UTF-8', LC_ALL: '' }, true],
  [{ LANG: 'C' }, false],
  [{}, false]
])('with the locale %j, boxes are drawn in a terminal: %s', (env, expected) => {
  vi.stubEnv('NO_COLOR', '')
  vi.stubEnv('TERM', 'xterm')
  expect(linux(env)).toBe(expected)
  expect(linux(env, false)).toBe(false)
})

it('boxes are not drawn without colours', () => {
  vi.stubEnv('TERM', 'dumb')
  expect(linux({ LANG: 'C.UTF-8' })).toBe(false)
  vi.stubEnv('TERM', 'xterm')
  vi.stubEnv('NO_COLOR', '1')
  expect(linux({ LANG: 'C.UTF-8' })).toBe(false)
})

it('boxes are drawn on Windows, which has no such locale', () => {
  vi.stubEnv('NO_COLOR', '')
  vi.stubEnv('TERM', 'xterm')
  expect(drawsBoxes({ isTTY: true }, { env: {}, platform: 'win32' })).toBe(true)
})
