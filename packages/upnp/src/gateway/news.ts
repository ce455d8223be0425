import type { Device } from '../device/device.js'
import { isAboutGateway, type SsdpMessage } from '../ssdp/message.js'

/** Returns whether a message is about this device. A router may be several devices, an IGD:1 and an IGD:2 for
 * example. */
export const concerns = (message: SsdpMessage, device: Device): boolean =>
  message.uuid !== undefined && device.uuid !== undefined ? message.uuid === device.uuid : isAboutGateway(message)

/** Returns whether an announcement shows another location or another boot than the known ones. Most announcements only
 * repeat the state. A missing BOOTID means nothing: some firmware sends it only in one kind of message. */
export const isNews = (message: SsdpMessage, device: Device): boolean =>
  (message.location !== undefined && hrefOf(message.location) !== device.location.href) ||
  (message.bootId !== undefined && device.bootId !== undefined && message.bootId !== device.bootId)

/** Returns whether the device has restarted between two examinations. */
export const hasRestarted = (now: Device, before: Device): boolean =>
  now.location.href !== before.location.href || now.bootId !== before.bootId

/** Normalises a location for comparison: `http://192.168.1.1:80` becomes `http://192.168.1.1/`. */
const hrefOf = (location: string): string => (URL.canParse(location) ? new URL(location).href : location)
