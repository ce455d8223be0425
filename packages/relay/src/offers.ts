import type { Finding, Relay } from '@postern/interface'

/** The relays that can be asked now, and what has been told of them. */
export interface Offers {
  /** Offers a relay, or offers it anew. */
  put(ability: Relay, isNamed: boolean): void
  /** It is not there any more. */
  drop(id: string): void
  /** Its reservation has ended, and it may be there still. */
  lost(id: string, isThere: boolean): void
  /** It granted, or it did not. */
  answered(id: string, isGood: boolean): void
  /** The relays that were named have had their time. */
  openToAll(): void
  /** Whether there are enough relays, on distinct networks, that have not failed. */
  enough(): boolean
  readonly isEmpty: () => boolean
}

interface Offer {
  readonly ability: Relay
  readonly isNamed: boolean
  isGood: boolean
  isTold: boolean
}

/** @param isOpen - whether relays that nobody named are as good as any */
export function createOffers(found: (finding: Finding) => void, count: number, isOpen: boolean): Offers {
  const offers = new Map<string, Offer>()
  let isOpenToAll = isOpen

  function isEnough(isCounted: (offer: Offer) => boolean): boolean {
    const counted = [...offers.values()].filter((offer) => offer.isGood && isCounted(offer))
    return new Set(counted.map(({ ability }) => ability.party.network)).size >= count
  }

  const mayTell = ({ isNamed }: Offer): boolean =>
    isNamed || isOpen || (isOpenToAll && !isEnough((other) => other.isNamed))

  function tell(offer: Offer): void {
    offer.isTold = true
    found(offer.ability)
  }

  /** Those that were kept back may be needed now. */
  function review(): void {
    for (const offer of offers.values()) if (!offer.isTold && mayTell(offer)) tell(offer)
  }

  return {
    put(ability, isNamed) {
      const { id } = ability.party
      const before = offers.get(id)
      const offer = { ability, isNamed, isGood: before?.isGood ?? true, isTold: false }
      offers.set(id, offer)
      if (before?.isTold === true || mayTell(offer)) tell(offer)
    },
    drop(id) {
      const offer = offers.get(id)
      if (offer === undefined) return
      offers.delete(id)
      if (offer.isTold) found({ kind: 'notice', what: 'gone', about: offer.ability })
      review()
    },
    lost(id, isThere) {
      const offer = offers.get(id)
      if (offer === undefined || !offer.isTold) return
      found({ kind: 'notice', what: 'gone', about: offer.ability })
      if (isThere) found(offer.ability)
    },
    answered(id, isGood) {
      const offer = offers.get(id)
      if (offer === undefined) return
      offer.isGood = isGood
      review()
    },
    openToAll() {
      isOpenToAll = true
      review()
    },
    enough: () => isEnough(() => true),
    isEmpty: () => ![...offers.values()].some(({ isTold }) => isTold)
  }
}
