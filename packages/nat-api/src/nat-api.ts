import { errorText, isNatError, type NatError, natError, waitAtMost } from '@postern/interface'
import { type Callback, callBack, findCallback } from './callbacks.js'
import { type Client, openClient } from './client.js'
import { type NatAPIOptions, readOptions, type Settings } from './options.js'
import { type PortOptions, readFilter, readRequest } from './port-arguments.js'

/** How long `destroy` takes at most (ms). A slow router gets 10 s of `@postern/core` to delete the mappings. */
const destroyMs = 12_000

/**
 * Maps ports on the router, with the API of `nat-api` and `@silentbot1/nat-api`.
 *
 * Each method returns a promise, or calls back if it is given a function. It rejects, or calls back with an Error, for
 * wrong use: `port was not specified`, `protocol is invalid`, `invalid parameters`, `client is destroyed`, and a
 * TypeError for a port that is not in 1…65535. A mapping that cannot be made is `false`, or a NatError for the callback.
 */
export class NatAPI {
  /** The lifetime that is requested, in seconds. */
  readonly ttl: number
  /** The description of mappings. */
  readonly description: string
  /** The option of that name, which is not used. */
  readonly gateway: string | null
  /** Whether mappings are renewed. */
  readonly autoUpdate: boolean
  /** Whether PCP and NAT-PMP are used. */
  readonly enablePMP: boolean
  /** Whether UPnP is used. */
  readonly enableUPNP: boolean
  /** The option of that name. */
  readonly upnpPermanentFallback: boolean
  readonly #settings: Settings
  #client: Client | undefined
  #ended: Promise<true> | undefined

  /** Opens nothing before the first call of `map` or `externalIp`. */
  constructor(options?: NatAPIOptions | null) {
    const settings = readOptions(options)
    this.#settings = settings
    this.ttl = settings.ttl
    this.description = settings.description
    this.gateway = settings.gateway
    this.autoUpdate = settings.autoUpdate
    this.enablePMP = settings.enablePMP
    this.enableUPNP = settings.enableUPNP
    this.upnpPermanentFallback = settings.upnpPermanentFallback
  }

  /** Maps a public port to a private port until `unmap` or `destroy`. Resolves with whether each protocol is mapped: the
   * router grants exactly that port, and nothing is known against its external address. After `false` the client
   * continues to try, except if the router grants another port. */
  map(publicPort: number, privatePort?: number | null): Promise<boolean>
  map(options: PortOptions): Promise<boolean>
  map(publicPort: number, privatePort: number, callback: Callback<readonly []>): void
  map(port: number | PortOptions, callback: Callback<readonly []>): void
  map(first: unknown, second?: unknown, third?: unknown): Promise<boolean> | void {
    const callback = findCallback(first, second, third)
    return answer(this.#map(first, typeof second === 'function' ? undefined : second), callback)
  }

  /** Ends mappings that this client has made: all with that public port, with both ports, or with what the object names.
   * Resolves with whether there was one and the router has deleted each. */
  unmap(publicPort: number, privatePort?: number | null): Promise<boolean>
  unmap(options: PortOptions): Promise<boolean>
  unmap(publicPort: number, privatePort: number, callback: Callback<readonly []>): void
  unmap(port: number | PortOptions, callback: Callback<readonly []>): void
  unmap(first: unknown, second?: unknown, third?: unknown): Promise<boolean> | void {
    const callback = findCallback(first, second, third)
    return answer(this.#unmap(first, typeof second === 'function' ? undefined : second), callback)
  }

  /** Resolves with the external IPv4 address of the router; empty if there is none that hosts on the internet can reach.
   * If nothing is mapped, a UDP port is mapped for a moment, since PCP does not tell the address otherwise. */
  externalIp(): Promise<string>
  externalIp(callback: Callback<readonly [ip: string]>): void
  externalIp(callback?: Callback<readonly [ip: string]>): Promise<string> | void {
    const found = this.#externalIp()
    if (callback === undefined) return found.then((ip) => ip ?? '')
    callBack(found, callback, (ip) =>
      ip === undefined
        ? [natError('EXTERNAL_ADDRESS_UNKNOWN', `${this.#label()} get external ip failed`)]
        : [undefined, ip]
    )
  }

  /** Deletes all mappings of this client, and ends it. Never rejects, and resolves after 12 s at most, usually in some
   * ms. Idempotent. */
  destroy(): Promise<true>
  destroy(callback: Callback<readonly []>): void
  destroy(callback?: Callback<readonly []>): Promise<true> | void {
    this.#ended ??= this.#end()
    if (callback === undefined) return this.#ended
    callBack(this.#ended, callback, () => [])
  }

  /** Like `destroy()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy()
  }

  async #map(first: unknown, second: unknown): Promise<Error | undefined> {
    this.#mustLive()
    const request = readRequest(first, second, this.ttl)
    const client = this.#open(request.description)
    if (client === undefined) return new Error('no protocols succeeded')
    const errors = await client.map(request)
    return this.#summary('port mapping failed', errors)
  }

  async #unmap(first: unknown, second: unknown): Promise<Error | undefined> {
    this.#mustLive()
    const filter = readFilter(first, second)
    const { count, errors } = (await this.#client?.unmap(filter)) ?? { count: 0, errors: [] }
    if (count === 0) return new Error(`${this.#label()} port unmapping failed: this client has not mapped that port`)
    return this.#summary('port unmapping failed', errors)
  }

  async #externalIp(): Promise<string | undefined> {
    this.#mustLive()
    return this.#open(undefined)?.externalAddress()
  }

  async #end(): Promise<true> {
    const client = this.#client
    if (client !== undefined) {
      const { clock, log } = this.#settings.host
      const closing = client.close().catch((error: unknown) => log.info(`closing failed: ${errorText(error)}`))
      await waitAtMost(clock, destroyMs, closing, undefined)
    }
    return true
  }

  #mustLive(): void {
    if (this.#ended !== undefined) throw new Error('client is destroyed')
  }

  /** Returns the part that talks to routers; undefined if all strategies are off. */
  #open(description: string | undefined): Client | undefined {
    if (this.#client !== undefined) return this.#client
    const { isDescribed } = this.#settings
    const text = isDescribed ? this.description : (description ?? this.description)
    if (this.#settings.strategies(text).length === 0) return undefined
    this.#client = openClient(this.#settings, text)
    return this.#client
  }

  /** Returns the protocols in the words of the originals. */
  #label(): string {
    const names = [...(this.enablePMP ? ['NAT-PMP'] : []), ...(this.enableUPNP ? ['UPnP'] : [])]
    return names.join(' and ')
  }

  #summary(what: string, errors: readonly NatError[]): Error | undefined {
    const [first] = errors
    if (first === undefined) return undefined
    const reasons = [...new Set(errors.map(({ message }) => message))].join('; ')
    const text = `${this.#label()} ${what}: ${reasons}`
    this.#settings.host.log.info(text)
    return natError(isNatError(first) ? first.code : 'NO_REPLY', text, { cause: first })
  }
}

/** Resolves with whether there is no error, or calls back with the error. */
function answer(
  work: Promise<Error | undefined>,
  callback: Callback<readonly unknown[]> | undefined
): Promise<boolean> | void {
  if (callback === undefined) return work.then((error) => error === undefined)
  callBack(work, callback, (error) => (error === undefined ? [] : [error]))
}
