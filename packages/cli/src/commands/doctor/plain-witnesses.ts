import { type Finding, isNotice, type ServerHost, type Strategy } from '@postern/interface'
import { witness } from '@postern/witness'
import type { NamedWitness } from './trial.js'
import { notingReasons } from './unclear-answers.js'

/** Witnesses that the user named by their URLs. */
export interface PlainWitnesses {
  /** One strategy for all of them. */
  readonly strategy: Strategy<ServerHost>
  /** Returns what became of each. */
  named(): readonly NamedWitness[]
}

interface Noted {
  readonly url: string
  /** The ids of the witnesses of this URL, one for each family. */
  readonly ids: Set<string>
  /** Why there is none. */
  absence: string | undefined
  /** The last reason for an inconclusive answer, by the id. */
  readonly reasons: Map<string, string>
}

/** Creates the witnesses of these URLs. Throws a TypeError for an invalid one. */
export function plainWitnesses(urls: readonly string[]): PlainWitnesses {
  const each = [...new Set(urls)].map((url) => {
    const noted: Noted = { url, ids: new Set(), absence: undefined, reasons: new Map() }
    return { strategy: witness({ servers: [url] }), noted }
  })

  return {
    strategy: (host) => {
      const parts = each.map(({ strategy, noted }) => ({ discovery: strategy(host), noted }))
      return {
        name: 'witness',
        kind: 'witness',
        async discover(network, found, call) {
          await Promise.all(
            parts.map(({ discovery, noted }) =>
              discovery.discover(network, (finding) => found(noting(finding, noted)), call)
            )
          )
        }
      }
    },
    named: () => each.flatMap(({ noted }) => reportsOf(noted))
  }
}

function noting(finding: Finding, noted: Noted): Finding {
  if (isNotice(finding)) {
    if (finding.what === 'absent') noted.absence = finding.reason.message
    return finding
  }
  if (finding.kind !== 'witness') return finding
  const { id } = finding.party
  noted.ids.add(id)
  return notingReasons(finding, noted.reasons)
}

function reportsOf({ url, ids, absence, reasons }: Noted): readonly NamedWitness[] {
  const shared = { option: '--witness', isWitness: true } as const
  if (ids.size === 0) return [{ ...shared, peer: url, id: url, failure: absence ?? 'its name is not resolved' }]
  return [...ids].map((id) => ({
    ...shared,
    peer: ids.size === 1 ? url : `${url} (${id})`,
    id,
    failure: null,
    unclear: reasons.get(id)
  }))
}
