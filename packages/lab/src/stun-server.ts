import type { HostPlan } from './topology.js'

/** The ports of a STUN server in a lab: that of RFC 8489, and the alternate port of RFC 5780. */
const ports = [3478, 3479] as const

// Up to coturn 4.6, behaviour discovery is the default with two addresses; later versions need an option.
const askForDiscovery = `discovery=
if turnserver -h 2>&1 | grep -qE '(^| )--rfc5780'; then discovery=--rfc5780; fi`

/**
 * Returns the POSIX sh steps that start coturn on every address of a host with its links up, and wait until it
 * listens. It serves STUN only, on UDP and TCP, without authentication. Behaviour discovery needs two addresses of a
 * family.
 */
export function stunSteps(name: string, { links, stun }: HostPlan): string {
  if (stun === undefined) return ''
  const addresses = links.flatMap((link) => link.addresses.map((each) => each.slice(0, each.indexOf('/'))))
  const folder = `/run/lab/${name}`
  const full = stun === 'behaviour-discovery'
  const options = [
    '-n --stun-only --no-tls --no-dtls --no-cli --relay-threads 1 --daemon',
    `--listening-port ${ports[0]} --alt-listening-port ${ports[1]}`,
    ...addresses.map((address) => `--listening-ip ${address}`),
    full ? '$discovery' : '--no-rfc5780',
    `--userdb ${folder}/turn.db --pidfile ${folder}/turn.pid`,
    `--log-file ${folder}/turn.log --simple-log --no-stdout-log`
  ]
  // A server with one address does not open the alternate port.
  const expected = full ? addresses.length * ports.length : addresses.length
  const hex = ports.map((port) => port.toString(16).toUpperCase().padStart(4, '0')).join('|')
  return `
mkdir -p ${folder}
${full ? askForDiscovery : ''}
turnserver ${options.join(' ')} < /dev/null > /dev/null 2>&1
tries=0
until [ "$(cat /proc/net/udp /proc/net/udp6 | grep -cE ':(${hex}) 0')" -ge ${expected} ]; do
  tries=$((tries + 1))
  if [ $tries -gt 300 ]; then echo "turnserver of ${name} did not open its ports" >&2; cat ${folder}/turn.log >&2; exit 1; fi
  sleep 0.01
done`
}
