import type { EventReason, MappingEvent } from '../model/events.js'

/** Makes the events of one endpoint from those of its two mappings. Listeners hear of one external address at a time: that
 * of the outer mapping, and that of the inner one while no router behind the next hop maps it. */
export interface ToldEvents {
  /** Takes an event of the mapping at the next hop. */
  inner(event: MappingEvent): void
  /** Takes an event of the mapping at the router behind it. */
  outer(event: MappingEvent): void
  /** Emits the grant of the next hop that was held back, if there is one: no router behind it maps. */
  release(): void
}

/**
 * @param isAwaited - whether a router behind the next hop maps the inner mapping, or may do so
 * @param emit - emits an event to the listeners of the traversal
 */
export function createToldEvents(isAwaited: () => boolean, emit: (event: MappingEvent) => void): ToldEvents {
  /** A grant of the next hop that is not told yet. */
  let held: MappingEvent | undefined
  let isInnerTold = false
  let isOuterTold = false
  /** Why the inner mapping was lost. The outer one is released then, and is lost to the program for the same reason. */
  let loss: readonly EventReason[] | undefined

  function tellGrant(event: MappingEvent): void {
    held = undefined
    isInnerTold = true
    emit(event)
  }

  return {
    inner(event) {
      switch (event.event) {
        case 'mapped':
        case 'changed': {
          loss = undefined
          if (isInnerTold) return emit(event)
          const grant: MappingEvent = { ...event, event: 'mapped' }
          if (!isAwaited()) return tellGrant(grant)
          held = grant
          return
        }
        case 'renewed':
          if (isInnerTold && !isOuterTold) emit(event)
          return
        case 'lost':
          if (isInnerTold) emit(event)
          else loss = event.reasons ?? []
          held = undefined
          isInnerTold = false
          return
        case 'released':
        case 'shared':
          if (isInnerTold) emit(event)
          if (event.event === 'released') isInnerTold = false
          return
        default:
          emit(event)
      }
    },
    outer(event) {
      if (event.event === 'mapped') {
        held = undefined
        isOuterTold = true
      }
      if (event.event === 'lost' || event.event === 'released') isOuterTold = false
      emit(event.event === 'released' && loss !== undefined ? { ...event, event: 'lost', reasons: loss } : event)
    },
    release() {
      if (held !== undefined) tellGrant(held)
    }
  }
}
