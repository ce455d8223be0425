// npm start: the main job with real programs. A home with a router (miniupnpd on a kernel NAT) and a server behind it,
// and a second host on the internet, all in namespaces of this machine. Without namespaces, the same on loopback.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { canRunLab, openLab } from '@postern/lab'
import { createGateway, listen } from '@postern/testkit'

const program = new URL('show-home.mjs', import.meta.url).pathname
const port = 8080

const support = await canRunLab()
const stage = support.ok ? await labStage() : await loopbackStage(support.reason)
let code = 1
try {
  code = await show(stage)
} finally {
  await stage.close()
}
process.exitCode = code

async function show({ introduction, client, start, fetchFromOutside, rules }) {
  console.log(`${introduction}\n`)
  const home = start()
  const lines = createInterface({ input: home.stdout })
  const report = await Promise.race([
    once(lines, 'line').then(([line]) => JSON.parse(line)),
    once(home, 'exit').then(() => undefined)
  ])
  if (report === undefined) throw new Error('the program at home ended without a report')
  printReport(report)

  const [address] = report.externalAddresses
  const [, , host, , outerPort] = (address ?? '').split('/')
  let proven = false
  if (address !== undefined) {
    const page = await fetchFromOutside(host, Number(outerPort))
    proven = page.includes('Hello from behind the NAT.')
    console.log(`\n${client} http://${host}:${outerPort}/ and reads: ${page.trim() || 'nothing'}\n`)
  }
  home.stdin.end()
  await once(home, 'exit')
  const left = await rules()
  console.log(left === 0 ? '\nNothing is left in the router.' : `\n${left} mappings are left in the router.`)
  return proven && left === 0 && report.verdict === 'public' ? 0 : 1
}

function printReport({ verdict, cause, gateway, externalAddresses, strategies, advice }) {
  console.log('\nReport')
  for (const { name, rank, state, tookMs } of strategies) {
    console.log(
      `  ${rank + 1}. ${name.padEnd(8)} ${state.padEnd(11)} ${tookMs === null ? '' : `${tookMs.toFixed(1)} ms`}`
    )
  }
  console.log(`  Gateway: ${gateway ? `${gateway.address} on ${gateway.interface}` : 'none'}`)
  for (const address of externalAddresses) console.log(`  Address: ${address}`)
  for (const sentence of advice) console.log(`  → ${sentence}`)
  console.log(`Verdict: ${verdict}${cause ? ` (${cause})` : ''}`)
}

/** The real scene: namespaces, a kernel NAT, miniupnpd. */
async function labStage() {
  const lab = await openLab('home', { onProgress: (line) => console.log(line) })
  const outside = (host, to) => {
    const script = `fetch('http://${host}:${to}/', { signal: AbortSignal.timeout(3000) }).then(async (r) => console.log(await r.text()), () => {})`
    return lab.run('internet', [process.execPath, '-e', script])
  }
  const [wan, lan, home, internet] = [
    lab.address('router', 'wan'),
    lab.address('router', 'lan'),
    lab.address('home'),
    lab.address('internet')
  ]
  return {
    introduction: `A home in namespaces of this machine, with a real router (miniupnpd on a kernel NAT):\n\n  internet ${internet} ─── ${wan} router ${lan} ─── ${home} home`,
    client: 'A host on the internet fetches',
    start: () => lab.spawn('home', [process.execPath, program, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] }),
    fetchFromOutside: async (host, to) => (await outside(host, to)).stdout,
    rules: async () => (await lab.rules()).length,
    close: () => lab.close()
  }
}

/** The scene without namespaces: the testkit's gateway on loopback grants mappings, and this process acts as the
 * internet by its table. */
async function loopbackStage(reason) {
  const gateway = createGateway({ externalAddress: '11.0.0.2' })
  const listening = await listen(gateway)
  return {
    introduction: `Without namespaces (${reason}): the testkit's gateway on loopback, ${listening.address}, instead of a real router.`,
    client: "This process plays the internet by the gateway's table, fetches",
    start: () =>
      spawn(process.execPath, [program, String(port), listening.address], { stdio: ['pipe', 'pipe', 'inherit'] }),
    fetchFromOutside: async (_host, to) => {
      const rule = gateway.mappings.find(({ externalPort }) => externalPort === to)
      if (rule === undefined) return ''
      return await (await fetch(`http://${rule.internalAddress}:${rule.internalPort}/`)).text()
    },
    rules: async () => gateway.mappings.length,
    close: () => listening.close()
  }
}
