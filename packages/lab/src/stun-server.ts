import type { HostPlan } from './topology.js'

/** The ports of a STUN server in a lab: RFC 8489's, and the alternate one of RFC 5780. */
const ports = [3478, 3479] as const

/**
 * Starts coturn on every address of a host and waits until it listens. It serves STUN only, on UDP and TCP, and asks
 * nobody who they are. Behaviour discovery needs two addresses of a family. POSIX sh, in the host with its links up.
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
    ...(full ? [] : ['--no-rfc5780']),
    `--userdb ${folder}/turn.db --pidfile ${folder}/turn.pid`,
    `--log-file ${folder}/turn.log --simple-log --no-stdout-log`
  ]
  // A server with one address has no use for the alternate port and leaves it shut.
  const expected = full ? addresses.length * ports.length : addresses.length
  const hex = ports.map((port) => port.toString(16).toUpperCase().padStart(4, '0')).join('|')
  return `
mkdir -p ${folder}
turnserver ${options.join(' ')} < /dev/null > /dev/null 2>&1
tries=0
until [ "$(cat /proc/net/udp /proc/net/udp6 | grep -cE ':(${hex}) 0')" -ge ${expected} ]; do
  tries=$((tries + 1))
  if [ $tries -gt 300 ]; then echo "turnserver of ${name} did not open its ports" >&2; cat ${folder}/turn.log >&2; exit 1; fi
  sleep 0.01
done`
}
