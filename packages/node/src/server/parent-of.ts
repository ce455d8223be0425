/** Returns the connection below a TLS socket, where Node.js keeps it; there is no documented way to it. */
export function parentOf(socket: object): object | undefined {
  const parent: unknown = '_parent' in socket ? socket._parent : undefined
  return typeof parent === 'object' && parent !== null ? parent : undefined
}
