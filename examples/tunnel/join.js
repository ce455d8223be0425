const cuts = new Set()

/** Carries bytes both ways. An end is passed on as an end, and a cut connection as a reset. */
export function join(socket, stream) {
  let ended = false
  if (stream.status !== 'open') return socket.resetAndDestroy()
  const cut = (error) => {
    stream.abort(error)
    socket.resetAndDestroy()
  }
  cuts.add(cut)
  socket.on('close', () => cuts.delete(cut))
  socket.on('data', (bytes) => {
    if (stream.send(bytes)) return
    socket.pause()
    stream.onDrain().then(() => socket.resume(), cut)
  })
  socket.on('end', () => stream.close().catch(cut)).on('error', cut)
  socket.on('drain', () => stream.readStatus === 'paused' && stream.resume()).resume()
  stream.addEventListener('message', ({ data }) => socket.write(data.subarray()) || stream.pause())
  stream.addEventListener('remoteCloseWrite', () => (ended = true))
  // The stream also ends when the connection below it ends.
  stream.addEventListener('end', () => (ended ? socket.end() : cut(new Error('cut'))))
  stream.addEventListener('close', ({ error }) => error && cut(error))
}

/** Resets all connections. Call it before the node stops, which would end its streams as if they were complete. */
export function cutAll(error) {
  for (const cut of cuts) cut(error)
}
