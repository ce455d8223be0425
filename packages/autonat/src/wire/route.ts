import type { Route } from '@postern/libp2p-utils'

/** Returns whether an inbound connection from `remote` may be the result of a dial to `asked`. */
export const fits = (asked: Route, remote: Route): boolean =>
  asked.family === remote.family && asked.transport === remote.transport
