// Takes the screenshots of the status page in docs/images: npm run screenshots
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { prepareChromium } from '../packages/lab/dist/index.js'
import { reportHtml } from '../packages/status/dist/index.js'
import { startChromium } from '../packages/status/test/support/chromium.mjs'
import { situations } from '../packages/status/test/support/situations.mjs'

/** @type {[name: keyof typeof situations, width: number, height: number, scheme: 'light' | 'dark'][]} */
const shots = [
  ['verified', 1100, 760, 'light'],
  ['carrier-nat', 1100, 760, 'dark'],
  ['no-service', 360, 1100, 'light'],
  ['relayed', 1100, 1200, 'light'],
  ['two-routers', 1100, 900, 'light']
]

const images = path.join(import.meta.dirname, '..', 'docs', 'images')
const folder = await mkdtemp(path.join(tmpdir(), 'postern-shots-'))
const chromium = await startChromium(await prepareChromium({ onProgress: (line) => console.log(line) }))
try {
  await mkdir(images, { recursive: true })
  for (const [name, width, height, scheme] of shots) {
    const { report, title, at, events } = situations[name]
    const file = path.join(folder, `${name}.html`)
    await writeFile(file, await reportHtml(report, { title, at: new Date(at), events }))
    const tab = await chromium.tab()
    await tab.send('Emulation.setTimezoneOverride', { timezoneId: 'UTC' })
    await tab.resize(width, height, scheme, 'reduce')
    await tab.open(pathToFileURL(file).href)
    await tab.until("document.querySelector('.verdict') !== null")
    const png = await tab.shoot()
    await writeFile(path.join(images, `status-${name}.png`), png)
    console.log(`docs/images/status-${name}.png: ${(png.length / 1000).toFixed(0)} kB`)
    for (const complaint of tab.complaints) console.log(`  ${complaint}`)
  }
} finally {
  await chromium.close()
  await rm(folder, { recursive: true })
}
