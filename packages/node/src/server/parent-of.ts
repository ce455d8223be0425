/** Returns the connection below a TLS socket, where Node.js keeps it; there is no documented way to it. */
export function parentOf(socket: object): object | undefined {
  const { _parent: parent }: { readonly _parent?: unknown } = Object(socket)
  return typeof parent === 'object' && parent !== null ? parent : undefined
}
