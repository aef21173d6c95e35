// The scores of a recording, which grow while it is scored.

/** For each class {label, rank, scores, peak, threshold}; thresholds outlive a recording. */
export class ScoreTable {
  /** @param labels In the order of the columns. @param ranks Their places in the order of Python's strings. */
  constructor(labels, ranks, thresholds) {
    this.groups = labels.map((label, index) => ({ label, rank: ranks[index], threshold: thresholds[index] }));
    this.clear();
  }

  clear() {
    this.numFrames = 0;
    this.stored = this.groups.map(() => new Float32Array(1024));
    this.peaks = this.groups.map(() => 0);
    for (const group of this.groups) Object.assign(group, { peak: 0, scores: new Float32Array(0), colour: undefined });
  }

  /** Adds frames, and behind them a tail in place of the last one. @param {Float32Array[]} columns One a class. */
  append(columns, tail) {
    const begin = this.numFrames;
    this.numFrames += columns[0].length;
    const length = this.numFrames + tail[0].length;
    const highest = (scores, least) => scores.reduce((a, b) => Math.max(a, b), least);
    for (const [index, group] of this.groups.entries()) {
      if (length > this.stored[index].length) {
        const longer = new Float32Array(2 * length);
        longer.set(this.stored[index].subarray(0, begin));
        this.stored[index] = longer;
      }
      this.stored[index].set(columns[index], begin);
      this.stored[index].set(tail[index], this.numFrames);
      group.scores = this.stored[index].subarray(0, length);
      this.peaks[index] = highest(columns[index], this.peaks[index]);
      group.peak = highest(tail[index], this.peaks[index]);
    }
  }

  /** The classes that reach a score, the highest peak first. */
  reaching(lowest) {
    const level = Math.fround(lowest);
    return this.groups.filter(({ peak }) => peak >= level).sort((a, b) => b.peak - a.peak || a.rank - b.rank);
  }
}
