/** The names of the events about mappings. */
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
