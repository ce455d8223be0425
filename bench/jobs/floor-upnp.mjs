// The bare exchanges of the protocol: a unicast search, the description, the external address, AddPortMapping. It
// checks nothing, and never reads a mapping back.

import { request } from 'node:http'
import { ownAddress } from './endpoint.mjs'
import { openExchange } from './exchange.mjs'
import { runJob } from './job.mjs'

const [, , router] = process.argv
const address = ownAddress()
const device = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2'
const service = /<serviceType>(urn:schemas-upnp-org:service:WANIPConnection:\d)<\/serviceType>.*?<controlURL>(.*?)</s

await runJob({
  async call(port) {
    const { ask, close } = await openExchange(router, 1900)
    const search = `M-SEARCH * HTTP/1.1\r\nHOST: ${router}:1900\r\nMAN: "ssdp:discover"\r\nST: ${device}\r\n\r\n`
    const answer = String(await ask(Buffer.from(search)))
    close()
    const location = new URL(/^location:\s*(\S+)/im.exec(answer)?.[1] ?? '')
    const [, type, path] = service.exec(await exchange(location)) ?? []
    const act = (action, fields) => {
      const values = fields.map(([name, value]) => `<${name}>${value}</${name}>`).join('')
      const body = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:${action} xmlns:u="${type}">${values}</u:${action}></s:Body></s:Envelope>`
      return exchange(new URL(path, location), body, `"${type}#${action}"`)
    }
    await act('GetExternalIPAddress', [])
    await act('AddPortMapping', [
      ['NewRemoteHost', ''],
      ['NewExternalPort', port],
      ['NewProtocol', 'TCP'],
      ['NewInternalPort', port],
      ['NewInternalClient', address],
      ['NewEnabled', 1],
      ['NewPortMappingDescription', 'floor'],
      ['NewLeaseDuration', 7200]
    ])
  }
})

/** One HTTP exchange on its own connection, as routers require. */
function exchange(url, body, action) {
  return new Promise((resolve, reject) => {
    const headers = {
      Connection: 'close',
      ...(body && { 'Content-Type': 'text/xml', 'Content-Length': Buffer.byteLength(body), SOAPAction: action })
    }
    const outgoing = request(url, { method: body ? 'POST' : 'GET', headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`status ${response.statusCode}`))
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
