import type { ErrorCode } from './errors.js'

/** What a code means, and what a person can do about it. */
export interface ErrorMeaning {
  readonly meaning: string
  readonly advice: string
}

/**
 * Every code that a {@link NatError} of this project can carry.
 * `docs/errors.md` is this table.
 */
export const errorCodes: Readonly<Record<ErrorCode, ErrorMeaning>> = {
  // Nothing, or nothing usable, came back.
  NO_REPLY: {
    meaning: 'Nothing answered in time.',
    advice: 'Check that the device is on and that no firewall on this machine drops its answers.'
  },
  REFUSED: {
    meaning: 'The device is there and refuses: nothing listens on that port.',
    advice: 'Turn the service on in the router, or use another strategy.'
  },
  UNREACHABLE: {
    meaning: 'This machine could not send: no route, no permission, or the link is down.',
    advice: 'Check the network connection and the local firewall.'
  },
  MALFORMED_REPLY: {
    meaning: 'The answer breaks its protocol.',
    advice: 'Update the router; if it stays so, leave this strategy out for it.'
  },
  REPLY_TOO_LARGE: {
    meaning: 'The answer is larger than anything a well-behaved device sends.',
    advice: 'Look at what answers there: it is no ordinary router.'
  },
  UNTRUSTED_REPLY: {
    meaning:
      'The answer points somewhere a router has no reason to point (another host, a name, a redirect), or seems to be forged.',
    advice: 'Look for a misbehaving device on the local network.'
  },
  PORT_TAKEN: {
    meaning: 'A local port that is needed is in use by another program.',
    advice:
      'End that program, or have it share the port, if restarts of the router must be noticed at once; mappings work all the same.'
  },

  // The gateway answered, and the answer is no.
  NO_SERVICE: {
    meaning: 'A device answers, but offers no port mapping.',
    advice: 'Turn port mapping on in the router.'
  },
  UNSUPPORTED_VERSION: {
    meaning: 'The router speaks another version of this protocol.',
    advice: 'None needed: the other version is tried too.'
  },
  UNSUPPORTED: {
    meaning: 'The router does not know this request, option or transport protocol.',
    advice: 'Use another strategy for it.'
  },
  NOT_AUTHORIZED: {
    meaning: 'The router is configured to refuse this mapping to this host.',
    advice: "Allow it in the router's settings, or forward the port by hand."
  },
  NETWORK_FAILURE: {
    meaning: 'The router says that it has no usable external address at the moment.',
    advice: "Check the router's own internet connection."
  },
  OUT_OF_RESOURCES: {
    meaning: 'The router has no room for another mapping.',
    advice: 'Delete old mappings in the router, or restart it.'
  },
  QUOTA_EXCEEDED: {
    meaning: 'This host holds as many mappings as the router allows it.',
    advice: 'Release mappings that are no longer needed.'
  },
  MALFORMED_REQUEST: {
    meaning: 'The router found our request malformed.',
    advice: 'Report it, with the make and version of the router.'
  },
  ADDRESS_MISMATCH: {
    meaning: 'The router sees another address than ours: something translates between us and it.',
    advice: 'Ask the router that is nearest, or put the nearest one into bridge mode.'
  },
  CONFLICT: {
    meaning: 'The external port belongs to another host or program.',
    advice: 'Use another external port, or let one be chosen.'
  },
  ONLY_PERMANENT_LEASES: {
    meaning: 'The router grants mappings only without an end.',
    advice: 'None needed: one is asked for, and deleted at the end.'
  },
  SAME_PORT_REQUIRED: {
    meaning: 'The router maps a port only to the same port.',
    advice: 'None needed: the same port is asked for.'
  },
  PINHOLES_DISABLED: {
    meaning: 'The router has an IPv6 firewall and does not let hosts open it.',
    advice: 'Allow IPv6 pinholes in the router, or add a rule by hand.'
  },
  GATEWAY_FAULT: {
    meaning: 'The router failed without saying why.',
    advice: 'Restart the router if it goes on.'
  },
  GRANT_INVALID: {
    meaning: 'The router granted something that cannot be used: no port, no time, or for another host.',
    advice: 'Update the router; if it stays so, leave this strategy out for it.'
  },
  GRANT_UNCHECKED: {
    meaning:
      'The router granted it, and its list of mappings cannot be read: the lease may be shorter than it is said to be.',
    advice: 'Nothing: it is used and renewed. A test from outside tells whether it works.'
  },
  MAPPING_LOST: {
    meaning: 'The mapping is no longer in the router although its time has not run out.',
    advice: 'None needed: it is asked for again.'
  },

  // The gateway does what it can, and it is not enough.
  CARRIER_NAT: {
    meaning: "The router's external address is carrier-grade: the provider translates once more.",
    advice: 'Ask the provider for a public IPv4 address, use IPv6, or use a relay.'
  },
  DOUBLE_NAT: {
    meaning: "The router's external address is private: another router stands before it.",
    advice: 'Put one of the two routers into bridge mode, or forward the port in both.'
  },
  EXTERNAL_ADDRESS_RESERVED: {
    meaning: "The router's external address is not one that the internet can reach.",
    advice: 'Look for a second router, or ask the provider for a public address.'
  },

  // Configuration meets the world.
  ADDRESS_NOT_ROUTABLE: {
    meaning: 'The address given by hand cannot be reached from the internet.',
    advice: "Give the external address of the router, not this machine's own."
  },
  EXTERNAL_ADDRESS_UNKNOWN: {
    meaning: 'A port is forwarded, and neither the router nor a peer tells the external address.',
    advice: 'Look the address up in the settings of the router, and give it with manual, as /ip4/<address>/tcp/<port>.'
  },
  NO_GATEWAY: {
    meaning: 'There is no default route, so there is no router to ask.',
    advice: 'Connect to a network.'
  },

  // A peer was asked to try an address from outside, and nothing is known afterwards.
  WITNESS_REFUSED: {
    meaning: 'The witness did not try the address: it is busy, cannot dial such addresses, or asks too much for it.',
    advice: 'None needed: another witness is asked.'
  },
  WITNESS_UNPROVEN: {
    meaning: 'What the witness says is not proven: what only the one who reached the address can know did not arrive.',
    advice: 'None needed: another witness is asked.'
  },

  // A STUN server was asked which address it sees.
  OBSERVER_REFUSED: {
    meaning: 'The STUN server answered that it will not tell.',
    advice: 'Name another server.'
  },
  OBSERVERS_DISAGREE: {
    meaning:
      'STUN servers saw this host at different external addresses: one of them is wrong, or the NAT has several.',
    advice: 'Name a third server. Nothing is concluded about the NAT meanwhile.'
  },
  NAME_NOT_RESOLVED: {
    meaning: 'The name of a server leads to no address.',
    advice: 'Check the name, and the DNS of this machine.'
  },

  // The ladder itself.
  ATTEMPT_TIMEOUT: {
    meaning: 'The attempt took longer than its strategy or the policy allows; it is undone.',
    advice: 'None needed: the next strategy is tried, and this one again later.'
  },
  SECONDARY_GATEWAY: {
    meaning: 'This router would grant a mapping, but our replies leave through another one.',
    advice: 'Make it the default route if it is the one that should be used.'
  },
  LEASE_LAPSED: {
    meaning: 'The lease could not be renewed before its time ran out.',
    advice: 'None needed: it is asked for again as soon as the router answers.'
  },
  STRATEGY_FAULT: {
    meaning: 'A strategy failed in a way that it should not.',
    advice: 'Report it to the authors of the strategy.'
  },
  NOT_PERMITTED: {
    meaning:
      'The runtime does not let this program look at the network of the machine: Deno without a permission, or Node.js with `--permission`.',
    advice:
      'Start the program with that permission: `deno run --allow-all`, or `node --permission --allow-fs-read=*`. The message says what was refused.'
  },
  STORE_UNUSABLE: {
    meaning:
      'The file that remembers mappings cannot be used: damaged, no regular file, in use by another process, or on a disk that is full or does not answer.',
    advice:
      'None needed: the run goes on, with empty memory if it could not be read. Give each program its own file (`fileStore({ app })`), and the disk some space.'
  },

  // Between two peers.
  SYMMETRIC_NAT: {
    meaning: 'A NAT takes another port for each destination, so that neither side knows which port to dial.',
    advice: 'Map a port on either side, or stay with the relay. On one side only, `birthday` of hole punching may do.'
  }
}
