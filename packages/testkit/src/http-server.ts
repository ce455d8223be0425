import { spoil } from './byte-faults.js'
import { countOperation } from './counters.js'
import type { Engine } from './engine.js'
import type { Service } from './faults.js'
import { answerFirewall } from './firewall.js'
import { answerWan } from './igd.js'
import { encodeFault, encodeResult, isSoapFault, readCall, type SoapCall, type SoapResult } from './soap.js'
import { descriptionPath } from './ssdp-server.js'
import type { HttpAnswer, HttpRequest, Sender } from './transport.js'
import { describeDevice, firewallType, wanType } from './upnp-device.js'
import { spoilXml } from './xml-faults.js'

/** Answers one HTTP request for the description or an action. */
export function answerHttp(engine: Engine, request: HttpRequest, from: Sender): HttpAnswer {
  const { method, path } = request
  const service: Service = path.startsWith('/ctl/') ? 'control' : 'description'
  const counters = engine.counters[service]
  counters.requests += 1

  if (service === 'control' && method === 'POST') return control(engine, request, from)
  if (service === 'description' && method === 'GET') {
    countOperation(counters, `GET ${path}`)
    if (path === descriptionPath) return finish(engine, service, request, from, 200, describeDevice(engine.upnp))
    if (/^\/(wan\d+|firewall|cif)\.xml$/.test(path)) return finish(engine, service, request, from, 200, emptyService)
    engine.violation(`upnp: GET ${path}, which does not exist`)
  } else {
    countOperation(counters, method)
    // SUBSCRIBE makes a device send to any given address (CVE-2020-12695).
    engine.violation(`upnp: ${method} ${path}`)
  }
  counters.unknown += 1
  counters.errors += 1
  return finish(engine, service, request, from, 404, '')
}

function control(engine: Engine, request: HttpRequest, from: Sender): HttpAnswer {
  const counters = engine.counters.control
  const call = readCall(request.headers, request.body)
  let result: SoapResult
  if (typeof call === 'string') {
    engine.violation(`upnp: ${call}`)
    result = { code: 401 }
  } else {
    const fault = engine.faults.strike(
      'soap-fault',
      'control',
      ({ action }) => action === undefined || action === call.action
    )
    if (fault === undefined) result = perform(engine, request.path, call, from)
    else {
      countOperation(counters, call.action)
      result = { code: fault.code }
    }
  }
  if (typeof call !== 'string' && !isSoapFault(result))
    return finish(engine, 'control', request, from, 200, encodeResult(call, result))
  counters.errors += 1
  return finish(engine, 'control', request, from, 500, encodeFault(isSoapFault(result) ? result.code : 501))
}

function perform(engine: Engine, path: string, call: SoapCall, from: Sender): SoapResult {
  const { upnp } = engine
  if (path === '/ctl/firewall' && upnp.hasFirewall && call.serviceType === firewallType)
    return answerFirewall(engine, call, from)
  const service = upnp.wan[Number(/^\/ctl\/wan(\d+)$/.exec(path)?.[1] ?? Number.NaN)]
  // A later version of a service answers for the earlier ones too.
  const type = service === undefined ? undefined : wanType(upnp, service)
  if (service !== undefined && type !== undefined && [type, type.replace(/\d+$/, '1')].includes(call.serviceType))
    return answerWan(engine, call, from, service)
  engine.counters.control.unknown += 1
  engine.violation(`upnp: ${call.action} of ${call.serviceType} at ${path}, which does not exist`)
  return { code: 401 }
}

/** Adds headers to an answer and applies the faults. */
function finish(
  engine: Engine,
  service: Service,
  request: HttpRequest,
  from: Sender,
  status: number,
  text: string
): HttpAnswer {
  const { faults } = engine
  const sloppy = faults.strike('xml', service)
  const document = Buffer.from(sloppy === undefined ? text : spoilXml(text, sloppy.what))
  const context = { service, request: Buffer.from(request.body), from }
  const [first = new Uint8Array(0), ...rest] = spoil(faults, Uint8Array.from(document), context, engine.random)
  // Avoids a copy of a single part, which may be large.
  const whole =
    rest.length === 0 ? Buffer.from(first.buffer, first.byteOffset, first.length) : Buffer.concat([first, ...rest])
  const odd = faults.strike('http', service, ({ action }) => action === undefined || action === calledAction(request))
  const body = odd?.what === 'empty' ? Buffer.alloc(0) : whole
  const headers: (readonly [string, string])[] = [
    ['Content-Type', 'text/xml; charset="utf-8"'],
    ['Connection', 'close'],
    ['Server', 'Postern/1.0 UPnP/1.1 Testkit/1.0'],
    ['Ext', '']
  ]
  const manner = odd === undefined ? 'plain' : (manners.get(odd.what) ?? 'plain')
  if (odd?.what === 'redirect') headers.push(['Location', odd.to ?? 'http://192.0.2.1/rootDesc.xml'])
  if (manner === 'chunked') headers.push(['Transfer-Encoding', 'chunked'])
  else if (manner !== 'endless' && manner !== 'no-content-length') headers.push(['Content-Length', String(body.length)])
  engine.counters[service].replies += 1
  return {
    status:
      odd?.what === 'redirect' ? 302 : odd?.what === 'status' || odd?.what === 'empty' ? (odd.status ?? 500) : status,
    headers: odd?.what === 'lower-case-headers' ? headers.map(([name, value]) => [name.toLowerCase(), value]) : headers,
    body: new Uint8Array(body.buffer, body.byteOffset, body.length),
    delayMs: lateMs(engine, service, request),
    manner
  }
}

/** Returns the delay of an answer, in milliseconds. */
function lateMs({ faults }: Engine, service: Service, request: HttpRequest): number {
  const called = calledAction(request)
  return faults.strike('late', service, ({ action }) => action === undefined || action === called)?.ms ?? 0
}

const calledAction = ({ headers }: HttpRequest): string | undefined => /#(\w+)/.exec(headers['soapaction'] ?? '')?.[1]

const manners: ReadonlyMap<string, HttpAnswer['manner']> = new Map([
  ['endless', 'endless'],
  ['drip', 'drip'],
  ['slow-headers', 'slow-headers'],
  ['hang', 'hang'],
  ['reset', 'reset'],
  ['no-content-length', 'no-content-length'],
  ['chunked', 'chunked'],
  ['tight-headers', 'tight-headers'],
  ['not-http', 'not-http']
])

/** An empty service description. Clients need not read it, since the standards define the services. */
const emptyService =
  '<?xml version="1.0"?>\r\n<scpd xmlns="urn:schemas-upnp-org:service-1-0"><specVersion><major>1</major><minor>1</minor></specVersion></scpd>\r\n'
