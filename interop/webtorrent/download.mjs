// Downloads a torrent from one peer: `<info hash> <host:port> <folder>`. Prints one JSON object: `done`.
import WebTorrent from 'webtorrent'

const [infoHash, peer, folder] = process.argv.slice(2)
const started = performance.now()
const client = new WebTorrent({
  dht: false,
  lsd: false,
  utp: false,
  tracker: false,
  webSeeds: false,
  natUpnp: false,
  natPmp: false
})
const torrent = client.add(infoHash, { path: folder, announce: [] })
torrent.on('infoHash', () => torrent.addPeer(peer))
torrent.on('done', () => {
  const { downloaded, length } = torrent
  console.log(JSON.stringify({ event: 'done', ms: Math.round(performance.now() - started), downloaded, length }))
  client.destroy()
})
