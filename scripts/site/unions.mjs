// Shows the members of a union that is taken from a list: `type Verdict = (typeof verdicts)[number]` says nothing to a reader
// who does not see the list.
import { Converter, ReflectionKind } from 'typedoc'

export function spellOut(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (!reflection.kindOf(ReflectionKind.TypeAlias)) return
    const symbol = context.getSymbolFromReflection(reflection)
    const type = symbol && context.checker.getDeclaredTypeOfSymbol(symbol)
    if (type?.isUnion() && type.types.every((each) => each.isStringLiteral())) {
      reflection.comment?.modifierTags.add('@useDeclaredType')
    }
  })
}
