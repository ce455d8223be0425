// Seeds one file of 1 MB until its standard input ends. Does not dial: a peer that gets it has reached this host. The
// argument is the options of WebTorrent. Prints one JSON object a line: `seeding`, `destroyed`.
import { randomBytes } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import WebTorrent from 'webtorrent'

const started = performance.now()
const tell = (event, details) =>
  console.log(JSON.stringify({ event, ms: Math.round(performance.now() - started), ...details }))

const client = new WebTorrent({
  dht: false,
  lsd: false,
  utp: false,
  tracker: false,
  webSeeds: false,
  torrentPort: 6881,
  seedOutgoingConnections: false,
  ...JSON.parse(process.argv[2] ?? '{}')
})
client.on('error', (error) => {
  console.error(error)
  process.exitCode = 1
})
client.seed(randomBytes(1_000_000), { name: 'file', announceList: [] }, ({ infoHash }) => {
  const natApi = realpathSync(fileURLToPath(import.meta.resolve('@silentbot1/nat-api')))
  tell('seeding', { infoHash, natApi })
})
process.stdin.resume().on('end', () => {
  const since = performance.now()
  client.destroy((error) => tell('destroyed', { tookMs: Math.round(performance.now() - since), error: error?.message }))
})
