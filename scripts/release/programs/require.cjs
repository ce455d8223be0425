const { strict: assert } = require('node:assert')

for (const [name, exported] of [
  ['core', 'createTraversal'],
  ['node', 'expose'],
  ['pcp', 'pcp'],
  ['nat-pmp', 'natPmp'],
  ['upnp', 'upnp'],
  ['manual', 'manual'],
  ['stun', 'stun']
])
  assert.equal(typeof require(`@postern/${name}`)[exported], 'function', name)
assert.equal(typeof require('@postern/nat-api'), 'function')
console.log('required')
