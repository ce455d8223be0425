import type { GatewayDevice } from '@postern/interface'
import type { XmlElement } from './xml.js'

/** A root device, as its description names it. */
export interface Described {
  readonly device: GatewayDevice
  /** How certainly the device is the router itself: 2 for a gateway, 1 for an access point. */
  readonly certainty: 1 | 2
}

/** The maximum length of a text, in UTF-16 units. */
const maxLength = 64

/** Texts that firmware leaves in place of a name. */
const meaningless = /^(?:[-_.?0\s]*|n\/?a|null|none|unknown|default|undefined|to be filled by o\.?e\.?m\.?)$/i
const versions = /^v?\d+(?:[._]\d+)*$/i

/**
 * Reads how the root device names itself (UDA 1.1 §2.3). Returns undefined if it is neither a gateway nor a Wi-Fi access
 * point: media servers and printers run at the address of a router too, and the names of those are not the names of the
 * router.
 *
 * @param document - the whole description
 * @param opensPorts - whether the device offers a service that opens ports, which makes it a gateway of whatever type
 */
export function readNames(document: XmlElement, opensPorts: boolean): Described | undefined {
  const root = findFirst(document, 'device')
  if (root === undefined) return undefined
  const type = textIn(root, 'devicetype') ?? ''
  const isGateway = opensPorts || /:device:InternetGatewayDevice:/i.test(type)
  if (!isGateway && !/:device:WFADevice:/i.test(type)) return undefined
  const model = textIn(root, 'modelname')
  const device = {
    manufacturer: textIn(root, 'manufacturer') ?? null,
    model: withNumber(model, textIn(root, 'modelnumber')) ?? null,
    name: textIn(root, 'friendlyname') ?? null
  }
  const isNamed = device.manufacturer !== null || device.model !== null || device.name !== null
  return isNamed ? { device, certainty: isGateway ? 2 : 1 } : undefined
}

/** Appends the number of the model if the name contains no number. Makers that name the model in full write the version of the
 * hardware or firmware there, or for which provider it is (`7590 - avm`). */
function withNumber(model: string | undefined, number: string | undefined): string | undefined {
  if (number === undefined || versions.test(number) || !/\d/.test(number)) return model
  if (model === undefined) return number
  return /\d/.test(model) ? model : cut(`${model} ${number}`)
}

/** Returns the text of a direct child. Embedded devices have names of their own, such as "WANDevice". */
function textIn(element: XmlElement, name: string): string | undefined {
  const text = element.children.find((child) => child.name === name)?.text
  if (text === undefined) return undefined
  const clean = cleanName(text)
  return meaningless.test(clean) ? undefined : clean
}

/** Makes a name fit for one line of a terminal or a page: no control or invisible characters, no markup, single spaces,
 * and at most 64 UTF-16 units. */
export const cleanName = (text: string): string =>
  cut(
    text
      .slice(0, 4 * maxLength)
      .replace(/[<>]|[\p{C}\p{Default_Ignorable_Code_Point}]/gu, (each) => (/[\t-\r\x85]/.test(each) ? ' ' : ''))
      .replace(/[\s\p{Z}]+/gu, ' ')
      .trim()
  )

const cut = (text: string): string =>
  text.length <= maxLength
    ? text
    : `${text
        .slice(0, maxLength - 1)
        .replace(/[\ud800-\udbff]$/, '')
        .trimEnd()}…`

function findFirst(element: XmlElement, name: string): XmlElement | undefined {
  for (const child of element.children) {
    const found = child.name === name ? child : findFirst(child, name)
    if (found !== undefined) return found
  }
  return undefined
}
