/**
 * Runs a traversal on this machine. `runTraversal()` puts together what every program needs: a traversal of
 * `@postern/core`, a watcher of the network, the check of the first hop, and a UDP socket for observers.
 *
 * @packageDocumentation
 */

export type { DiagnosticsDetails, DiagnosticsMessage } from './diagnostics.js'
export { diagnosticsChannels } from './diagnostics.js'
export type { HostedRunOptions, RunTraversalOptions, TraversalRun } from './run-traversal.js'
export { runTraversal } from './run-traversal.js'
