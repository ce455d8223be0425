import { createHash } from 'node:crypto'
import type { Snapshot } from '../model/state.js'
import type { Assets } from './assets.js'

/** The headers of the live page. Nothing is loaded from another host, nothing inline is executed, and no page may embed it. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY'
}

/** Returns the live page. Its files are below `folder`. */
export const liveHtml = (folder: string, title: string): string =>
  html(
    title,
    '',
    `<link rel="stylesheet" href="${folder}page.css"><script src="${folder}page.js" defer></script>`,
    `<div id="page" data-live="${folder}"><noscript>This page needs JavaScript.</noscript></div>`
  )

/** Returns a page that needs no server: everything is in it, with the data. */
export function savedHtml({ script, style }: Assets, snapshot: Snapshot): string {
  const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; img-src data:; base-uri 'none'; form-action 'none'`
  return html(
    snapshot.title,
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    `<style>${style}</style>`,
    `<div id="page"><noscript>This page needs JavaScript.</noscript></div>
<script type="application/json" id="data">${inScript(snapshot)}</script>
<script>${script}</script>`
  )
}

const html = (title: string, policy: string, head: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
${policy}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
${head}
</head>
<body>
${body}
</body>
</html>
`

/** Returns JSON that cannot end the script element around it, whatever texts it contains. */
const inScript = (data: unknown): string =>
  JSON.stringify(data).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  )

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
