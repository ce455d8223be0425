// The lab's tools, fetched and unpacked where they are missing. Where there can be no lab, it says so and goes on.
import { canRunLab } from '@postern/lab'

const support = await canRunLab({ onProgress: (line) => console.log(line) })
if (!support.ok) console.log(`The lab cannot run here: ${support.reason}`)
