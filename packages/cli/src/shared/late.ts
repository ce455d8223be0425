import { natError } from '@postern/interface'

/** Returns the error for a timeout. */
export const late = (): Error => natError('NO_REPLY', 'no answer in time')
