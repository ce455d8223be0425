import { isIP, isIPv4, isIPv6 } from 'node:net'
import type { HostPlan, TranslatorPlan } from './topology.js'

/** Throws a TypeError for servers that a host cannot have. Their names and addresses become part of commands. */
export function checkHost(name: string, { dns = {}, translator }: Pick<HostPlan, 'dns' | 'translator'>): void {
  for (const [host, addresses] of Object.entries(dns)) {
    if (!/^[a-z\d](?:[a-z\d.-]{0,251}[a-z\d])?$/.test(host))
      throw new TypeError(`"${host}" is not a name that ${name} can know`)
    const other = addresses.find((address) => isIP(address) === 0)
    if (other !== undefined) throw new TypeError(`"${other}" is not an address of ${host}`)
  }
  if (translator !== undefined) checkTranslator(name, translator)
}

function checkTranslator(name: string, translator: TranslatorPlan): void {
  const { prefix, ipv6 } = translator
  const [network = '', length] = prefix.split('/')
  if (!isIPv6(network) || !['32', '40', '48', '56', '64', '96'].includes(length ?? ''))
    throw new TypeError(`"${prefix}" is not a prefix of a translator (RFC 6052), as ${name} needs one`)
  if (!isIPv6(ipv6)) throw new TypeError(`"${ipv6}" is not an IPv6 address for the translator of ${name}`)
  if (translator.kind === 'clat' && !(isIPv4(translator.ipv4) && isIPv6(translator.mapped)))
    throw new TypeError(`The CLAT of ${name} translates an IPv4 address to an IPv6 address`)
}
