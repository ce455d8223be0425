const paths: Readonly<Record<string, string>> = {
  check: 'M4 10.5 8.2 15 16 5.5',
  cross: 'M5 5 15 15 M15 5 5 15',
  dash: 'M4 10 H16',
  dot: 'M10 6.5 a3.5 3.5 0 1 0 0.01 0',
  detour: 'M3 14 C6 4 14 4 17 14 M13.5 12.5 17 14 18 10',
  question: 'M6.5 7.5 C6.5 3 13.5 3 13.5 7.5 C13.5 10 10 10 10 12.5 M10 16 V16.2'
}

const shapes: Readonly<Record<string, readonly [shape: string, tone: string]>> = {
  public: ['check', 'good'],
  relayed: ['detour', 'fair'],
  private: ['cross', 'bad'],
  unknown: ['question', 'plain'],
  active: ['check', 'good'],
  doubted: ['question', 'fair'],
  standby: ['dot', 'plain'],
  available: ['dot', 'plain'],
  unavailable: ['dash', 'plain'],
  failed: ['cross', 'bad'],
  skipped: ['dash', 'fair'],
  verified: ['check', 'good'],
  consistent: ['check', 'plain'],
  claimed: ['question', 'plain'],
  refuted: ['cross', 'bad'],
  reachable: ['check', 'good'],
  unreachable: ['cross', 'bad'],
  inconclusive: ['question', 'plain'],
  direct: ['check', 'good'],
  punching: ['question', 'plain']
}

/** A small sign for a state. The state is always there in words too. */
export function Symbol({ of }: { readonly of: string }) {
  const [shape, tone] = shapes[of] ?? ['dot', 'plain']
  return (
    <svg class={`symbol ${tone}`} viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      <path d={paths[shape]} />
    </svg>
  )
}
