/**
 * A page that shows how a program can be reached: live in a browser of the same machine, or as one file.
 *
 * @packageDocumentation
 */

export type { Broken, Picture, Way } from './model/picture.js'
export { pictureOf } from './model/picture.js'
export type { Mark, Place } from './model/places.js'
export type { EventContent, LoggedEvent } from './model/state.js'
export type { EventRecord, RecordEventsOptions, StatusSource } from './record-events.js'
export { recordEvents } from './record-events.js'
export type { ReportHtmlOptions } from './report-html.js'
export { reportHtml } from './report-html.js'
export type { StatusPage, StatusPageOptions } from './status-page.js'
export { statusPage } from './status-page.js'
