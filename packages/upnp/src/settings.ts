import type { Queue } from '@postern/interface'
import type { AnswerTimes, ExchangeHttp, OpenUdp } from '@postern/net'

/** The options with their defaults. */
export interface Settings {
  readonly named: string | undefined
  readonly ssdpPort: number
  readonly description: string
  readonly openUdp: OpenUdp
  readonly exchangeHttp: ExchangeHttp
  /** Returns the state for the gateway with this address, which outlasts one search. */
  readonly lineOf: (address: string) => Line
}

/** The state for asking one gateway. */
export interface Line {
  /** How long the gateway takes to answer. */
  readonly times: AnswerTimes
  /** Queues actions: several routers cannot handle concurrent requests. */
  readonly inTurn: Queue
}
