import { describe, expect, it } from 'vitest'
import { reportHtml } from '../src/index.js'
import { emptyReport } from './support/source.js'

const hostile = [
  '</script><script>alert(1)</script>',
  '<!--<script>',
  '\u2028\u2029',
  '<img src=x onerror=alert(1)>',
  '&lt;'
]

describe('reportHtml', () => {
  it('the data of a report cannot end its element, and is unchanged', async () => {
    const report = { ...emptyReport, advice: hostile }
    const text = await reportHtml(report, { title: hostile.join(''), at: new Date(0) })
    const [, data = ''] = /<script type="application\/json" id="data">([^]*?)<\/script>/.exec(text) ?? []
    expect(JSON.parse(data)).toEqual({ at: '1970-01-01T00:00:00.000Z', title: hostile.join(''), report, events: [] })
    expect(data).not.toMatch(/[<>&\u2028\u2029]/)
    expect(text).not.toContain('<img')
    expect(text.match(/<script/g)).toHaveLength(2)
  })

  it('the page executes only its own script, and loads nothing', async () => {
    const text = await reportHtml(emptyReport)
    expect(text).toMatch(
      /content="default-src 'none'; script-src 'sha256-[\w+/=]{44}'; style-src 'sha256-[\w+/=]{44}';/
    )
    expect(text).not.toMatch(/(?:src|href)="(?!data:)/)
  })

  it('a wrong option is a TypeError', async () => {
    await expect(reportHtml(emptyReport, { titel: 'x' } as never)).rejects.toBeInstanceOf(TypeError)
  })
})
