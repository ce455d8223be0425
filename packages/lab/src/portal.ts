import type { RouterPlan } from './topology.js'

/** The TCP port of the portal's page on the router. */
const portalPort = 8880

/** Returns the rule that leads every web page to the portal; empty if the router has none. */
export const portalRules = ({ lan, captivePortal }: RouterPlan): readonly string[] =>
  captivePortal === undefined ? [] : [`iifname ${lan} tcp dport 80 redirect to :${portalPort}`]

/** Returns the POSIX sh steps that start the portal in the router and wait until it listens. */
export function portalSteps(name: string, { captivePortal }: RouterPlan): string {
  if (captivePortal === undefined) return ''
  const port = portalPort.toString(16).toUpperCase()
  return `
'${process.execPath}' -e '${server}' ${portalPort} '${captivePortal}' < /dev/null > /dev/null 2>&1 &
tries=0
until grep -qs ':${port} ' /proc/net/tcp /proc/net/tcp6; do
  tries=$((tries + 1))
  if [ $tries -gt 500 ]; then echo "the portal of ${name} did not open its port" >&2; exit 1; fi
  sleep 0.01
done`
}

/** Answers every request with a redirect to the login page. */
const server = `require("node:http").createServer((_, answer) => answer.writeHead(302, { location: process.argv[2] }).end())
  .listen(+process.argv[1])`
