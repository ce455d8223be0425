/** Returns faults of `@postern/testkit` with random parameters: the behaviour of broken routers. */
const makers = [
  (random) => ({ kind: 'silent', carriedOut: random.chance(0.5) }),
  () => ({ kind: 'refuse' }),
  (random) => ({ kind: 'bytes', bytes: random.pick(['empty', 'one-byte', 'random', 'oversized']) }),
  (random) => ({ kind: 'truncate', length: random.below(40) }),
  (random) => ({ kind: 'late', ms: random.below(9000) }),
  (random) => ({ kind: 'duplicate', copies: 2 + random.below(4) }),
  (random) => ({ kind: 'wrong-source', what: random.pick(['address', 'port']) }),
  (random) => ({
    kind: 'wrong-field',
    field: random.pick(['version', 'opcode', 'response-bit', 'nonce', 'internal-port', 'protocol'])
  }),
  (random) => ({ kind: 'epoch', seconds: random.below(100_000) }),
  () => ({ kind: 'downgrade' }),
  (random) => ({
    kind: 'result',
    code: 1 + random.below(13),
    lifetimeSeconds: random.pick([0, 1, 30, 1800, 2 ** 32 - 1])
  }),
  (random) => ({ kind: 'soap-fault', code: random.pick([401, 402, 501, 606, 713, 718, 725, 728, 729, 999]) }),
  () => ({ kind: 'only-permanent' }),
  () => ({ kind: 'no-permanent' }),
  () => ({ kind: 'same-port' }),
  () => ({ kind: 'reserved-external-address' }),
  (random) => ({ kind: 'forgetful', afterMs: random.below(60_000) }),
  (random) => ({ kind: 'grant', lifetimeSeconds: random.pick([0, 1, 3, 60, 2 ** 32 - 1]) }),
  (random) => ({ kind: 'one-at-a-time', busyMs: 500, answer: random.pick(['drop', 503]) }),
  (random) => ({ kind: 'http', what: random.pick(['hang', 'reset', 'drip', 'slow-headers', 'not-http']) }),
  (random) => ({ kind: 'xml', what: random.pick(['bomb', 'proto', 'unclosed-tags']) })
]
const byService = new Set(['silent', 'refuse', 'bytes', 'late', 'duplicate'])

export function randomFault(random) {
  const fault = random.pick(makers)(random)
  const on = random.pick([undefined, undefined, 'pcp', 'nat-pmp', 'control'])
  return {
    ...fault,
    ...(on !== undefined && byService.has(fault.kind) ? { on } : {}),
    ...(random.chance(0.6) ? { times: 1 + random.below(6) } : {})
  }
}
