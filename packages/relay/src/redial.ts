/** A relay that restarts is back within seconds: those are spent asking. One that stays away is asked less and less. */
const firstMs = 250
const oftenMs = 2000
const oftenTimes = 30
const mostMs = 60_000

/** The wait after so many dials that failed in a row, in ms. */
export const redialMs = (failures: number): number =>
  failures <= oftenTimes
    ? Math.min(oftenMs, firstMs * 2 ** (failures - 1))
    : Math.min(mostMs, oftenMs * 2 ** (failures - oftenTimes))
