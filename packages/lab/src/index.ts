/**
 * Real NATs for tests: home routers, carrier NATs, firewalls and hosts in kernel namespaces, with a real gateway daemon
 * (miniupnpd: UPnP IGD:1 and IGD:2, NAT-PMP, PCP), real STUN and SSH servers (coturn, OpenSSH), delay, loss and outages. The lab needs
 * no root, installs nothing, and leaves nothing behind. Several labs can run at the same time.
 *
 * @packageDocumentation
 */
export { prepareChromium } from './chromium.js'
export type { LabErrorCode } from './errors.js'
export { LabError } from './errors.js'
export type { Output } from './exec.js'
export type { DelayOptions, Lab, OpenLabOptions, RebootOptions, RunOptions } from './lab.js'
export { openLab } from './lab.js'
export { prepareNewerDaemon } from './newer-daemon.js'
export { withPeers, withStun } from './peers.js'
export type { Prometheus } from './prometheus.js'
export { preparePrometheus } from './prometheus.js'
export type { Packets, Rule } from './rules.js'
export type { Sshd, SshdOptions } from './sshd.js'
export { startSshd } from './sshd.js'
export type { Support } from './support.js'
export { canDelay, canRunLab } from './support.js'
export type { HomeOptions, Tier, TiersOptions } from './tiers.js'
export { betweenTiers, findTiers, tiers } from './tiers.js'
export type { Tools, ToolsOptions } from './tools.js'
export { prepareTools } from './tools.js'
export { findTopology, topologies } from './topologies.js'
export type {
  DaemonPlan,
  ExposedHost,
  HostPlan,
  LinkPlan,
  PortForward,
  RoutePlan,
  RouterPlan,
  Topology,
  TranslatorPlan
} from './topology.js'
export type { NamedTopology, TopologyName } from './topology-names.js'
export { withRouter } from './with-router.js'
