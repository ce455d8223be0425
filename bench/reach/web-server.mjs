import { createServer } from 'node:http'

/** What the web server of a home answers, so that no other server is taken for it. */
export const page = 'this is the home\n'

/** Creates the web server of a home. */
export const webServer = () => createServer((_request, response) => response.end(page))
