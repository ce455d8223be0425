import { render } from 'preact'
import './page.css'
import { followServer, readSaved } from './feed.js'
import { Page } from './view/page.js'

const root = document.getElementById('page')
if (root !== null) {
  const folder = root.dataset['live']
  // The token is used up. A reload, a bookmark and a copied address lead to the page itself.
  if (folder !== undefined) history.replaceState(null, '', folder)
  const feed = folder === undefined ? readSaved() : followServer(`${folder}events`)
  root.replaceChildren()
  render(<Page feed={feed} />, root)
}
