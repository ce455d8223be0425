import type { HostPlan, Topology } from './topology.js'

/**
 * Returns the POSIX sh steps that start dnsmasq on every address of a host with its links up. It knows the planned names only,
 * asks no other server, and answers that any other name does not exist.
 */
export function dnsSteps(name: string, { links, dns }: HostPlan): string {
  if (dns === undefined) return ''
  const addresses = links.flatMap((link) => link.addresses.map((each) => each.slice(0, each.indexOf('/'))))
  const folder = `/run/lab/${name}`
  const options = [
    '--conf-file=/dev/null --no-resolv --no-hosts --bind-interfaces --local=/#/ --user=root --group=',
    ...addresses.filter((address) => !address.startsWith('fe80:')).map((address) => `--listen-address=${address}`),
    ...Object.entries(dns).flatMap(([host, each]) => each.map((address) => `--host-record=${host},${address}`)),
    `--pid-file=${folder}/dnsmasq.pid`
  ]
  // Without --keep-in-foreground it returns once its sockets are open.
  return `mkdir -p ${folder}\ndnsmasq ${options.join(' ')} < /dev/null`
}

/**
 * Returns the POSIX sh steps that make every host of a topology use its DNS servers; empty if it has none. The file of the system
 * stays as it is: the lab sees another one in its place. It may be a link into /run, which is another folder in the lab.
 */
export function resolverSteps({ hosts }: Topology): string {
  const servers = Object.values(hosts).flatMap(({ links, dns }) => {
    const addresses = links.flatMap((link) => link.addresses).filter((address) => !address.startsWith('fe80:'))
    const chosen = addresses.find((address) => address.includes(':')) ?? addresses[0]
    return dns === undefined || chosen === undefined ? [] : [chosen]
  })
  if (servers.length === 0) return ''
  const lines = servers.map((address) => `nameserver ${address.slice(0, address.indexOf('/'))}`)
  return `
file=$(readlink -m /etc/resolv.conf)
[ -e "$file" ] || { mkdir -p "$(dirname "$file")" && : > "$file"; }
printf '%s\\n' '${lines.join("' '")}' > /run/lab/resolv.conf
mount --bind /run/lab/resolv.conf "$file"`
}
