/** Returns an object with some members of another one replaced. The others are read when they are needed, and its methods work
 * on the other one itself. */
export const withOverrides = <T extends object>(target: T, overrides: Partial<T>): T =>
  new Proxy(target, {
    get(whole, key) {
      if (Object.hasOwn(overrides, key)) return Reflect.get(overrides, key)
      const value: unknown = Reflect.get(whole, key)
      return typeof value === 'function' ? value.bind(whole) : value
    }
  })
