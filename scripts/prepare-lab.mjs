// Fetches and unpacks the tools of the lab if they are missing. If there can be no lab, it says so and goes on.
import { canRunLab } from '@postern/lab'

const support = await canRunLab({ onProgress: (line) => console.log(line) })
if (!support.ok) console.log(`The lab cannot run here: ${support.reason}`)
