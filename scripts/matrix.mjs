// Tries two homes on every pair of tiers, and writes the results into docs/reference/nat-matrix.md.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
const page = path.join(root, 'docs', 'reference', 'nat-matrix.md')
const child = spawn('vitest', ['run', '--project', '@postern/libp2p', 'matrix'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, POSTERN_MATRIX_PAGE: page }
})
const [code] = await once(child, 'exit')
process.exitCode = code ?? 1
