import type { WitnessServer } from '@postern/witness/server'
import { Counter, Gauge, type Registry } from 'prom-client'

/** Registers the metrics of a witness server. */
export function registerWitnessMetrics(registry: Registry, server: WitnessServer): void {
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number): unknown =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      }
    })
  const counters = (
    name: string,
    help: string,
    label: string,
    read: () => Readonly<Partial<Record<string, number>>>
  ): unknown =>
    new Counter({
      name,
      help,
      registers,
      labelNames: [label],
      collect() {
        this.reset()
        for (const [key, value] of Object.entries(read())) this.inc({ [label]: key }, value)
      }
    })
  const counter = (name: string, help: string, read: () => number): unknown =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      }
    })

  gauge('postern_witness_connections', 'Connections of clients that are open', () => server.connections)
  gauge('postern_witness_dialling', 'Connections to addresses of clients that are not closed', () => server.dialling)
  counter('postern_witness_requests_total', 'Requests of clients', () => server.counters.requests)
  counter('postern_witness_dials_total', 'Addresses that were dialled', () => server.counters.dials)
  counters('postern_witness_answers_total', 'Answers about an address that was dialled', 'answer', () => {
    const { reached, unreached } = server.counters
    return { reached, unreached }
  })
  counters('postern_witness_refused_total', 'Requests that were refused, by the reason', 'reason', () => server.refused)
  counters('postern_witness_limited_total', 'Requests that a limit turned away', 'limit', () => server.limited)
  counter(
    'postern_witness_connections_closed_total',
    'Connections of clients that were closed for lack of a place',
    () => server.closedConnections
  )
}
