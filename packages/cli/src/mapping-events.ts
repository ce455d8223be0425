/** The events that tell what becomes of a mapping. */
export const mappingEvents = [
  'mapped',
  'renewed',
  'changed',
  'lost',
  'verified',
  'refuted',
  'failed',
  'released',
  'shared'
] as const
