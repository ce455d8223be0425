import type { Report } from '@postern/core'

/** Returns a report of a home without a mapping service, with these changes. */
export const reportWith = (changes: Partial<Report> = {}): Report => ({
  schemaVersion: 1,
  verdict: 'private',
  cause: 'no-mapping-service',
  advice: ['Turn on UPnP, NAT-PMP or PCP in the router.'],
  gateway: { address: '192.168.1.1', interface: 'eth0', description: null },
  externalAddresses: [],
  nat: null,
  strategies: [],
  candidates: [],
  ...changes
})
