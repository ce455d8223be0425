// What routers, and hosts that pretend to be one, send: PCP, NAT-PMP, SSDP, UPnP.
import { canonicalAddress } from '@postern/interface'
import * as natPmp from '../../packages/nat-pmp/src/codec.ts'
import * as pcp from '../../packages/pcp/src/codec.ts'
import { decodeDescription } from '../../packages/upnp/src/device/description.ts'
import { readExternalAddress } from '../../packages/upnp/src/device/device.ts'
import { decodeReply } from '../../packages/upnp/src/device/soap.ts'
import { addressOf, trustLocation } from '../../packages/upnp/src/device/trusted-location.ts'
import { decodeSsdp } from '../../packages/upnp/src/ssdp/message.ts'
import { bytesOf, textsOf } from '../corpus/index.mjs'
import { refusals } from '../decoders.mjs'
import { isIn, isIpText, isOptional, isUint, textBytes } from './shapes.mjs'

const wanted = { protocol: 'tcp', internalPort: 8080, nonce: new Uint8Array(12).fill(7) }
const location = new URL('http://192.168.1.1:5000/desc.xml')
const gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }
const isReply = (value) =>
  isUint(value.epochSeconds, 32) && isUint(value.lifetimeSeconds, 32) && isUint(value.result, 8)

export const gateways = [
  {
    name: 'pcp-announce',
    corpus: bytesOf('pcp'),
    run: (bytes) => pcp.decodeAnnounceReply(bytes),
    accepts: (value) => value === undefined || isReply(value)
  },
  {
    name: 'pcp-mapping',
    corpus: bytesOf('pcp'),
    run: (bytes) => pcp.decodeMappingReply(bytes, wanted),
    accepts: (value) =>
      value === undefined || (isReply(value) && isIpText(value.externalAddress) && isUint(value.externalPort, 16))
  },
  {
    name: 'nat-pmp-address',
    corpus: bytesOf('nat-pmp'),
    run: (bytes) => natPmp.decodeExternalAddressReply(bytes),
    accepts: (value) => value === undefined || (isUint(value.epochSeconds, 32) && isIpText(value.address))
  },
  {
    name: 'nat-pmp-mapping',
    corpus: bytesOf('nat-pmp'),
    run: (bytes) => natPmp.decodeMappingReply(bytes, wanted),
    accepts: (value) =>
      value === undefined ||
      (isUint(value.epochSeconds, 32) && isUint(value.externalPort, 16) && isUint(value.lifetimeSeconds, 32))
  },
  {
    name: 'ssdp',
    corpus: textBytes(textsOf('ssdp')),
    run: (bytes) => decodeSsdp(bytes),
    accepts: (value) =>
      value === undefined ||
      (isIn(value.kind, ['answer', 'alive', 'byebye']) &&
        typeof value.target === 'string' &&
        isOptional(value.uuid, 'string') &&
        isOptional(value.location, 'string') &&
        (value.bootId === undefined || Number.isSafeInteger(value.bootId)))
  },
  {
    name: 'upnp-location',
    corpus: textsOf('urls'),
    run: (text) => trustLocation(text, { sender: '192.168.1.1', gateway }),
    // Only the router itself is asked.
    accepts: (url) =>
      url.protocol === 'http:' && url.username === '' && addressOf(url) === canonicalAddress(gateway.address)
  },
  {
    name: 'upnp-description',
    corpus: textBytes(textsOf('descriptions')),
    run: (bytes) => decodeDescription(bytes, location),
    accepts: ({ name, services }) =>
      /^[\x20-\x7e]{0,64}$/.test(name) &&
      services.length > 0 &&
      services.length <= 16 &&
      services.every(({ controlUrl }) => controlUrl.protocol === 'http:' && addressOf(controlUrl) === '192.168.1.1')
  },
  {
    name: 'upnp-soap',
    corpus: textBytes(textsOf('soap')),
    run: (bytes) => decodeReply(bytes, 'GetExternalIPAddress'),
    accepts: (value) =>
      value.ok
        ? [...value.values].every((pair) => pair.every((each) => typeof each === 'string'))
        : Number.isInteger(value.fault) && typeof value.description === 'string'
  },
  {
    name: 'upnp-external-address',
    corpus: textBytes(textsOf('soap')),
    run: (bytes) => readExternalAddress(decodeReply(bytes, 'GetExternalIPAddress')),
    accepts: (value) => isIpText(value)
  }
].map((target) => ({ refuses: refusals.network, ...target }))
