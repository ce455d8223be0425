import type { ErrorCode } from './errors.js'

/** What an error code means, and what the user can do about it. */
export interface ErrorMeaning {
  /** What happened, in one sentence. */
  readonly meaning: string
  /** What to do about it, in sentences. */
  readonly advice: string
}

/**
 * Every code that a {@link NatError} of this project can have, with its meaning.
 * `docs/reference/errors.md` is generated from this table.
 */
export const errorCodes: Readonly<Record<ErrorCode, ErrorMeaning>> = {
  // No reply, or no usable one.
  NO_REPLY: {
    meaning: 'Nothing answered in time.',
    advice: 'Check that the device is on and that no firewall on this machine drops its answers.'
  },
  REFUSED: {
    meaning: 'The device refuses: nothing listens on that port.',
    advice: 'Turn the service on in the router, or use another strategy.'
  },
  UNREACHABLE: {
    meaning: 'This machine could not send: no route, no permission, or the link is down.',
    advice: 'Check the network connection and the local firewall.'
  },
  MALFORMED_REPLY: {
    meaning: 'The reply violates its protocol.',
    advice: 'Update the router; if the problem remains, do not use this strategy with it.'
  },
  REPLY_TOO_LARGE: {
    meaning: 'The reply is larger than a well-behaved device would send.',
    advice: 'Check which device answers there: it is not an ordinary router.'
  },
  UNTRUSTED_REPLY: {
    meaning:
      'The reply refers to a place that a router has no reason to name (another host, a host name, a redirect), or seems to be forged.',
    advice: 'Look for a misbehaving device on the local network.'
  },
  PORT_TAKEN: {
    meaning: 'Another program uses a local port that is needed.',
    advice:
      'Mappings work without it. To notice restarts of the router immediately, stop that program or let it share the port.'
  },

  // The gateway refused.
  NO_SERVICE: {
    meaning: 'A device answers, but does not offer port mapping.',
    advice: 'Turn port mapping on in the router.'
  },
  UNSUPPORTED_VERSION: {
    meaning: 'The router uses another version of this protocol.',
    advice: 'None needed: the other version is tried too.'
  },
  UNSUPPORTED: {
    meaning: 'The router does not support this request, option or transport protocol.',
    advice: 'Use another strategy.'
  },
  NOT_AUTHORIZED: {
    meaning: 'The router is configured to refuse this mapping for this host.',
    advice: "Allow it in the router's settings, or forward the port by hand."
  },
  NETWORK_FAILURE: {
    meaning: 'The router has no usable external address at the moment.',
    advice: "Check the router's own internet connection."
  },
  OUT_OF_RESOURCES: {
    meaning: 'The router has no resources for another mapping.',
    advice: 'Delete old mappings in the router, or restart it.'
  },
  QUOTA_EXCEEDED: {
    meaning: 'This host has as many mappings as the router allows.',
    advice: 'Release mappings that are no longer needed.'
  },
  MALFORMED_REQUEST: {
    meaning: 'The router rejected the request as malformed.',
    advice: 'Report it, with the make and version of the router.'
  },
  ADDRESS_MISMATCH: {
    meaning: 'The router sees another address than this host uses: a NAT translates between them.',
    advice: 'Ask the nearest router, or put the nearest one into bridge mode.'
  },
  CONFLICT: {
    meaning: 'The external port belongs to another host or program.',
    advice: 'Use another external port, or let the router choose one.'
  },
  ONLY_PERMANENT_LEASES: {
    meaning: 'The router grants only permanent mappings.',
    advice: 'None needed: a permanent mapping is requested, and deleted at the end.'
  },
  SAME_PORT_REQUIRED: {
    meaning: 'The router maps a port only to the same port.',
    advice: 'None needed: the same port is requested.'
  },
  PINHOLES_DISABLED: {
    meaning: 'The router has an IPv6 firewall that hosts may not open.',
    advice: 'Allow IPv6 pinholes in the router, or add a rule by hand.'
  },
  GATEWAY_FAULT: {
    meaning: 'The router failed without saying why.',
    advice: 'Restart the router if this continues.'
  },
  GRANT_INVALID: {
    meaning: 'The router granted something unusable: no port, no lifetime, or a mapping to another host.',
    advice: 'Update the router; if the problem remains, do not use this strategy with it.'
  },
  GRANT_UNCHECKED: {
    meaning:
      'The router granted the mapping, but its list of mappings cannot be read: the lease may be shorter than reported.',
    advice: 'None needed: the mapping is used and renewed. A test from outside shows whether it works.'
  },
  MAPPING_LOST: {
    meaning: 'The router no longer has the mapping, although its lifetime has not ended.',
    advice: 'None needed: it is requested again.'
  },

  // The gateway maps, but its external address is not public.
  CARRIER_NAT: {
    meaning: "The router's external address is carrier-grade: the provider operates another NAT.",
    advice: 'Ask the provider for a public IPv4 address, use IPv6, or use a relay.'
  },
  DOUBLE_NAT: {
    meaning: "The router's external address is private: there is another router between it and the internet.",
    advice: 'Put one of the two routers into bridge mode, or forward the port on both.'
  },
  EXTERNAL_ADDRESS_RESERVED: {
    meaning: "The router's external address is not one that the internet can reach.",
    advice: 'Look for a second router, or ask the provider for a public address.'
  },

  // Configuration and network do not fit together.
  ADDRESS_NOT_ROUTABLE: {
    meaning: 'The address given by the user cannot be reached from the internet.',
    advice: "Give the external address of the router, not this machine's own."
  },
  EXTERNAL_ADDRESS_UNKNOWN: {
    meaning: 'A port is forwarded, but neither the router nor a peer tells the external address.',
    advice: 'Look up the address in the settings of the router, and pass it to manual, as /ip4/<address>/tcp/<port>.'
  },
  NO_GATEWAY: {
    meaning: 'There is no default route, so there is no router to ask.',
    advice: 'Connect to a network.'
  },

  // A witness was asked to dial an address, and the result is inconclusive.
  WITNESS_REFUSED: {
    meaning:
      'The witness did not dial the address: it is busy, cannot dial such addresses, or asks for too much data in return.',
    advice: 'None needed: another witness is asked.'
  },
  WITNESS_UNPROVEN: {
    meaning: 'The witness gave no proof: the nonce that shows that it reached the address did not arrive.',
    advice: 'None needed: another witness is asked.'
  },

  // STUN servers.
  OBSERVER_REFUSED: {
    meaning: 'The STUN server answered with an error.',
    advice: 'Configure another server.'
  },
  OBSERVERS_DISAGREE: {
    meaning:
      'STUN servers saw this host at different external addresses: one of them is wrong, or the NAT has several.',
    advice: 'Configure a third server. Until then, nothing is concluded about the NAT.'
  },
  NAME_NOT_RESOLVED: {
    meaning: 'The name of a server does not resolve to an address.',
    advice: 'Check the name, and the DNS of this machine.'
  },

  // The traversal itself.
  ATTEMPT_TIMEOUT: {
    meaning: 'The attempt took longer than its strategy or the policy allows, and was undone.',
    advice: 'None needed: the next strategy is tried, and this one again later.'
  },
  SECONDARY_GATEWAY: {
    meaning: 'This router would grant a mapping, but replies leave through another router.',
    advice: 'Make it the default route if it is the one that should be used.'
  },
  LEASE_LAPSED: {
    meaning: 'The lease expired before it could be renewed.',
    advice: 'None needed: it is requested again as soon as the router answers.'
  },
  STRATEGY_FAULT: {
    meaning: 'A strategy failed because of a programming error.',
    advice: 'Report it to the authors of the strategy.'
  },
  NOT_PERMITTED: {
    meaning:
      'The runtime does not let this program inspect the network of the machine: Deno without a permission, or Node.js with `--permission`.',
    advice:
      'Start the program with the permission: `deno run --allow-all`, or `node --permission --allow-fs-read=*`. The message says which permission is missing.'
  },
  STORE_UNUSABLE: {
    meaning:
      'The file that stores mappings cannot be used: it is damaged, not a regular file, or in use by another process, or its disk is full or does not respond.',
    advice:
      'None needed: the run continues, without stored mappings if the file could not be read. Give each program its own file (`fileStore({ app })`), and free disk space.'
  },

  // Between two peers.
  SYMMETRIC_NAT: {
    meaning: 'A NAT uses another port for each destination, so the peers do not know which port to dial.',
    advice:
      'Map a port on either side, or keep using the relay. If only one side has such a NAT, the `birthday` option of hole punching may help.'
  }
}
