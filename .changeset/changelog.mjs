// The entries of the CHANGELOGs: the text of each changeset, without the number of its commit, which says nothing to a reader,
// and one line for all dependencies of ours that have a new version.

export default {
  async getReleaseLine({ summary }) {
    return `- ${summary.trim().replaceAll('\n', '\n  ').replaceAll(/^ +$/gm, '')}`
  },

  async getDependencyReleaseLine(_, dependencies) {
    const names = dependencies.map(({ name, newVersion }) => `\`${name}\` ${newVersion}`)
    return names.length === 0 ? '' : `- Updated dependencies: ${names.sort().join(', ')}`
  }
}
