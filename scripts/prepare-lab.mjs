// Fetches and unpacks the tools of the lab if they are missing. If there can be no lab, it says so and goes on.
import { canRunLab, prepareNewerDaemon } from '@postern/lab'

const support = await canRunLab({ onProgress: (line) => console.log(line) })
if (!support.ok) console.log(`The lab cannot run here: ${support.reason}`)
// Only topologies with two routers in a row need it. Their tests fetch it if it is missing here.
if (support.ok) {
  await prepareNewerDaemon({ onProgress: (line) => console.log(line) }).catch((error) => console.log(error.message))
}
