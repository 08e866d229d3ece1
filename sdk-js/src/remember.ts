import { mostRemembered } from './bounds.js'

/** Makes a key the newest of a map, which forgets the oldest beyond a bound. Reports whether the map did not have it. */
export function remember<T>(map: Map<string, T>, key: string, value: T): boolean {
  const isNew = !map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > mostRemembered) map.delete(oldest!)
  return isNew
}
