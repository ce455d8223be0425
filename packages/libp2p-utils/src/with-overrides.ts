/** Returns a proxy of an object with some members replaced. Other members are read from the object on access, and
 * methods are bound to it. */
export const withOverrides = <T extends object>(target: T, overrides: Partial<T>): T =>
  new Proxy(target, {
    get(whole, key) {
      if (Object.hasOwn(overrides, key)) return Reflect.get(overrides, key)
      const value: unknown = Reflect.get(whole, key)
      return typeof value === 'function' ? value.bind(whole) : value
    }
  })
