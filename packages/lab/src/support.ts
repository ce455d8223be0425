import { readFile } from 'node:fs/promises'
import { delayTrial } from './delays.js'
import { LabError } from './errors.js'
import type { Output } from './exec.js'
import { exec } from './exec.js'
import { mountSteps } from './setup-script.js'
import type { Tools, ToolsOptions } from './tools.js'
import { prepareTools } from './tools.js'

/** Whether something can run on this machine, or the reason why not, as one sentence. */
export type Support = { readonly ok: true } | { readonly ok: false; readonly reason: string }

// A machine may refuse any of these steps. The last printed line is the refused step.
const trial = `echo 'mounting in a namespace'
${mountSteps}
echo 'creating a network namespace'
ip netns add trial
echo 'creating a bridge and a virtual cable'
ip link add bridge type bridge
ip link add port type veth peer name end netns trial
echo 'setting network options (is /proc/sys read-only?)'
ip netns exec trial sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
echo 'creating NAT rules'
ip netns exec trial nft 'table inet t { chain c { type nat hook postrouting priority srcnat; oifname end masquerade; }; }'`

/**
 * Resolves with whether a lab can run on this machine. Checks the tools (fetched at the first call) and the namespaces.
 * Takes about 30 ms if the tools exist. Rejects only if `signal` aborts.
 */
export async function canRunLab(options: ToolsOptions = {}): Promise<Support> {
  if (process.platform !== 'linux') return no(`The lab needs Linux namespaces, but this is ${process.platform}.`)
  let tools: Tools
  try {
    const bare = await attempt('true', undefined, options)
    if (bare.code !== 0) return no(await namespaceReason(bare))
    tools = await prepareTools(options)
  } catch (error) {
    options.signal?.throwIfAborted()
    return no(
      error instanceof LabError ? error.message : `The tools of the lab cannot be prepared here: ${String(error)}`
    )
  }
  const { code, stdout, stderr } = await attempt(trial, tools, options)
  if (code === 0) return { ok: true }
  const step = stdout.trim().split('\n').at(-1)
  return no(`This machine allows user namespaces but refuses ${step} in them: ${oneLine(stderr)}.`)
}

/**
 * Resolves with whether a lab can run here with delays, which need VXLAN devices of the kernel. Rejects only if
 * `signal` aborts.
 */
export async function canDelay(options: ToolsOptions = {}): Promise<Support> {
  const support = await canRunLab(options)
  if (!support.ok) return support
  const { code, stderr } = await attempt(delayTrial, await prepareTools(options), options)
  return code === 0
    ? support
    : no(`A lab can run here, but without delays, since VXLAN is missing: ${oneLine(stderr)}.`)
}

const no = (reason: string): Support => ({ ok: false, reason })

async function attempt(script: string, tools: Tools | undefined, { signal }: ToolsOptions): Promise<Output> {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    PATH: `${tools === undefined ? '' : `${tools.bin}:`}/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`,
    ...(tools && { LD_LIBRARY_PATH: tools.lib })
  }
  try {
    return await exec('unshare', ['-Urnm', '--pid', '--fork', 'sh', '-ec', script], { cwd: '/', env, signal })
  } catch (error) {
    signal?.throwIfAborted()
    return { code: null, signal: null, stdout: '', stderr: String(error) }
  }
}

async function namespaceReason({ stderr }: Output): Promise<string> {
  const restricted = await setting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns')
  if (restricted === '1') {
    return 'AppArmor restricts user namespaces here: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` lifts that.'
  }
  if ((await setting('/proc/sys/kernel/unprivileged_userns_clone')) === '0') {
    return 'User namespaces are switched off here: `sudo sysctl kernel.unprivileged_userns_clone=1` allows them.'
  }
  if ((await setting('/proc/sys/user/max_user_namespaces')) === '0') {
    return 'User namespaces are switched off here: user.max_user_namespaces is 0.'
  }
  return `This machine (a locked-down container?) refuses user namespaces: ${oneLine(stderr)}.`
}

const setting = async (file: string): Promise<string> => (await readFile(file, 'utf8').catch(() => '')).trim()

const oneLine = (text: string): string => (text.trim().split('\n').at(-1) ?? 'no message').replace(/\.$/, '')
