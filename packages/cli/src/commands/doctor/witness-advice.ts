import type { Report } from '@postern/core'
import { exitCodes } from '../../shared/exit-codes.js'
import { whyNotAsked } from './text.js'
import type { NamedWitness } from './trial.js'

/** Adds advice about the named peers to the report if the address is unverified despite them. */
export function withWitnessAdvice(report: Report, witnesses: readonly NamedWitness[]): Report {
  const text = witnessAdvice(report, witnesses)
  if (text === undefined) return report
  return { ...report, advice: [text, ...report.advice.filter((each) => !each.startsWith('Name a witness'))] }
}

function witnessAdvice({ verdict, cause, candidates }: Report, witnesses: readonly NamedWitness[]): string | undefined {
  const [first] = witnesses
  if (first?.option === '--witness' && verdict === 'unknown') return unclearAdvice(witnesses)
  if (
    first?.option === '--witness' &&
    verdict === 'private' &&
    candidates.every(({ evidence }) => evidence.length === 0)
  )
    return 'No witness has tried the port, so it may be open all the same: fewer than two on distinct networks told at which address they see this machine. Check that `postern witness` answers there.'
  if (first === undefined || cause !== 'unverified') return undefined
  if (isNoneAsked(witnesses) && first.option === '--witness') {
    return `None of the named witnesses could be asked (${whyNotAsked(first)}), so nothing is verified. Name two that run \`postern witness\`: postern doctor --witness URL --witness URL`
  }
  if (isNoneAsked(witnesses)) {
    return `None of the named peers could be asked (${whyNotAsked(first)}), so nothing is verified. Name peers that run \`postern relay\`: postern doctor --peer ADDRESS --peer ADDRESS`
  }
  const reached = candidates.flatMap(({ evidence }) => evidence).filter(({ outcome }) => outcome === 'reachable')
  if (reached.length === 0) return undefined
  const by = witnesses.find(({ id }) => reached.some(({ party }) => party === id)) ?? first
  if (by.option === '--witness') {
    return `Only witnesses of one network have reached the address. Name a second one, on another network: postern doctor --witness ${by.peer} --witness URL`
  }
  return `Only peers of one network have reached the address. Name a second one, on another network: postern doctor --peer ${by.peer} --peer ADDRESS`
}

/** Returns why the answers of the witnesses decide nothing; undefined if none of them says why. */
function unclearAdvice(witnesses: readonly NamedWitness[]): string | undefined {
  const [unclear] = witnesses.flatMap((each) => each.unclear ?? [])
  return unclear === undefined ? undefined : `The witnesses did not decide: ${unclear}.`
}

const isNoneAsked = (witnesses: readonly NamedWitness[]): boolean =>
  witnesses.length > 0 && witnesses.every((each) => whyNotAsked(each) !== null)

/** Returns the exit code `failed` if none of the named peers could be asked, because nothing was verified; otherwise
 * undefined. */
export const codeOfWitnesses = ({ cause }: Report, witnesses: readonly NamedWitness[]): number | undefined =>
  cause === 'unverified' && isNoneAsked(witnesses) ? exitCodes.failed : undefined
