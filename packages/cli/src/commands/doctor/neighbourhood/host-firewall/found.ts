import type { HostFirewallReport } from '@postern/core'

/** A firewall of this machine, with the command that opens a port in it. */
export interface FoundFirewall extends Omit<HostFirewallReport, 'command'> {
  /** Returns the command that lets connections to a TCP port in; undefined if no command is known. */
  readonly open?: ((port: string) => string) | undefined
  /** The command that shows the rules to a user with more rights. */
  readonly show?: string | undefined
}
