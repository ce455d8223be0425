import type { Device } from './device.js'
import { isAboutGateway, type SsdpMessage } from './ssdp.js'

/** Whether a message is about the device itself: a router may be several, an IGD:1 and an IGD:2 for example. */
export const concerns = (message: SsdpMessage, device: Device): boolean =>
  message.uuid !== undefined && device.uuid !== undefined ? message.uuid === device.uuid : isAboutGateway(message)

/** Whether an announcement tells of another place or another boot than is known. Most only say that nothing changed.
 * Firmware that gives a BOOTID in one kind of message and not in the other says nothing by leaving it out. */
export const isNews = (message: SsdpMessage, device: Device): boolean =>
  (message.location !== undefined && hrefOf(message.location) !== device.location.href) ||
  (message.bootId !== undefined && device.bootId !== undefined && message.bootId !== device.bootId)

/** Whether the device has started again between two looks at it. */
export const hasRestarted = (now: Device, before: Device): boolean =>
  now.location.href !== before.location.href || now.bootId !== before.bootId

/** As URLs are compared: `http://192.168.1.1:80` is `http://192.168.1.1/`. */
const hrefOf = (location: string): string => (URL.canParse(location) ? new URL(location).href : location)
