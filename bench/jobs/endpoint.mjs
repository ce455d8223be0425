import { networkInterfaces } from 'node:os'

/** This host's own IPv4 address. A lab's home has one. */
export const ownAddress = () =>
  Object.values(networkInterfaces())
    .flat()
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

/** Returns a TCP endpoint of this host for a mapping request. */
export const endpointOf = (port, address = ownAddress()) => ({ protocol: 'tcp', family: 4, address, port })
