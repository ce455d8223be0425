import type { Finding, Relay } from '@postern/interface'

/** The relays that can be asked now, and which of them were reported to core. */
export interface Offers {
  /** Adds a relay, or replaces it. */
  put(ability: Relay, isNamed: boolean): void
  /** Removes a relay that is no longer available. */
  drop(id: string): void
  /** Reports that the reservation has ended, and offers the relay again if it is still connected. */
  lost(id: string, isThere: boolean): void
  /** Records whether the relay granted a reservation. */
  answered(id: string, isGood: boolean): void
  /** Allows relays that were not configured, after the head start of the configured ones. */
  openToAll(): void
  /** Returns whether enough relays on distinct networks have not failed. */
  enough(): boolean
  /** Returns whether no relay is reported at present. */
  readonly isEmpty: () => boolean
}

interface Offer {
  readonly ability: Relay
  readonly isNamed: boolean
  isGood: boolean
  isTold: boolean
}

/**
 * Creates the offers.
 *
 * @param isOpen - whether relays that are not configured may be used without restriction
 */
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

  /** Reports the withheld relays that are needed now. */
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
