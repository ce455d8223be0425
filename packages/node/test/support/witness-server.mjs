// Runs inside a lab: a witness server on port 4003 of both families. Prints a line when it listens.
import { createWitnessServer } from '@postern/witness/server'

const server = createWitnessServer()
await server.listen(4003, '::')
console.log('listening')
