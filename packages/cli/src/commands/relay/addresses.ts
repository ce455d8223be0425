import { familyOf, isGlobal, isWildcard, parseMultiaddr } from '@postern/interface'

/**
 * Returns the addresses to announce for listeners on `listen`, on a machine with `addresses`. Empty if no host on the
 * internet could use any of them: the machine has no public address, or the port is not known yet. Pure.
 */
export function announceOf(listen: readonly string[], addresses: readonly string[]): readonly string[] {
  const own = addresses.filter(isGlobal)
  return listen.flatMap((text) => {
    const listener = parseMultiaddr(text)
    if (listener === undefined || listener.port === 0) return []
    const { family, protocol, address, port, rest } = listener
    const hosts = isWildcard(address)
      ? own.filter((each) => familyOf(each) === family)
      : own.filter((each) => each === address)
    return hosts.map((host) => `/ip${family}/${host}/${protocol}/${port}${rest}`)
  })
}
