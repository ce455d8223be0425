/** A strategy that costs nothing: it finds a mapper at once, which grants at once. Only the work of the ladder
 * remains. */
export const instantMapper = (gateway) => () => ({
  name: 'instant',
  kind: 'mapper',
  async discover(_network, found, { signal }) {
    const lease = (address, lifetimeMs) => ({
      addresses: [address],
      lifetimeMs,
      renew: async () => lease(address, lifetimeMs),
      release: async () => {}
    })
    found({
      kind: 'mapper',
      gateway,
      family: 4,
      protocols: ['tcp', 'udp'],
      map: async ({ endpoint: { protocol, port }, lifetimeMs }) => lease(`/ip4/1.2.3.4/${protocol}/${port}`, lifetimeMs)
    })
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  }
})
