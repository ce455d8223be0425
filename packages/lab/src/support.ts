import { readFile } from 'node:fs/promises'
import { delayTrial } from './delays.js'
import { LabError } from './errors.js'
import type { Output } from './exec.js'
import { exec } from './exec.js'
import { mountSteps } from './setup-script.js'
import type { Tools, ToolsOptions } from './tools.js'
import { prepareTools } from './tools.js'

export type Support = { readonly ok: true } | { readonly ok: false; readonly reason: string }

// Each step is one thing that a machine may refuse; the last line printed is the first that it refused.
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
 * Tries whether a lab can be had on this machine: tools (fetched at the first call) and namespaces.
 * Never rejects, unless `signal` aborts; `reason` is one sentence. Takes about 30 ms where the tools are there.
 */
export async function canRunLab(options: ToolsOptions = {}): Promise<Support> {
  if (process.platform !== 'linux') return no(`The lab needs Linux namespaces, and this is ${process.platform}.`)
  let tools: Tools
  try {
    const bare = await attempt('true', undefined, options)
    if (bare.code !== 0) return no(await namespaceReason(bare))
    tools = await prepareTools(options)
  } catch (error) {
    options.signal?.throwIfAborted()
    return no(error instanceof LabError ? error.message : `The lab's tools cannot be had here: ${String(error)}`)
  }
  const { code, stdout, stderr } = await attempt(trial, tools, options)
  if (code === 0) return { ok: true }
  const step = stdout.trim().split('\n').at(-1)
  return no(`This machine gives user namespaces but refuses ${step} in them: ${oneLine(stderr)}.`)
}

/**
 * Tries whether cables of a lab can have delay here, which takes VXLAN devices of the kernel, and whether there can be a
 * lab at all. Never rejects, unless `signal` aborts.
 */
export async function canDelay(options: ToolsOptions = {}): Promise<Support> {
  const support = await canRunLab(options)
  if (!support.ok) return support
  const { code, stderr } = await attempt(delayTrial, await prepareTools(options), options)
  return code === 0 ? support : no(`A lab can be had here, but without delay, for lack of VXLAN: ${oneLine(stderr)}.`)
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
