// The addresses of the pages: those of Markdown files are their paths in the repository, such as docs/guides/concepts.html, and
// do not change with a title.
import path from 'node:path'
import { StructureRouter } from 'typedoc'

export function defineRouter(app, root) {
  app.renderer.defineRouter(
    'postern',
    class extends StructureRouter {
      getIdealBaseName(reflection) {
        const file = reflection.isDocument() ? reflection.project.files.getReflectionPath(reflection) : undefined
        if (file === undefined) return super.getIdealBaseName(reflection)
        return path.relative(root, file).replaceAll('\\', '/').replace(/\.md$/, '')
      }
    }
  )
}
