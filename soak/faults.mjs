import { setTimeout as sleep } from 'node:timers/promises'

/** The faults of months in minutes. Each fault is over when its promise resolves. */
export const faults = {
  reboot: ({ lab }, random) =>
    lab.reboot('router', random.chance(0.3) ? { controlPort: 5000 + random.below(1000) } : {}),
  async flap({ lab, signal }, random) {
    await lab.linkDown('home')
    await sleep(random.below(4000), undefined, { signal }).finally(() => lab.linkUp('home'))
  },
  address: ({ lab }, random) => lab.changeWanAddress('router', `11.0.0.${20 + random.below(200)}`),
  async daemon({ lab, signal }, random) {
    await lab.stopDaemon()
    await sleep(random.below(5000), undefined, { signal }).finally(() => lab.startDaemon())
  },
  flush: ({ lab }) => lab.flushRules(),
  async outage({ lab, signal }, random) {
    await lab.outageBegins('router')
    await sleep(random.below(6000), undefined, { signal }).finally(() => lab.outageEnds('router'))
  },
  relay: (scene, random) => scene.restartPeer('alpha', random.below(4000)),
  witness: (scene, random) => scene.restartPeer('bravo', random.below(4000))
}
