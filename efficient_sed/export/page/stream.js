// Scores of sound that is still going on, as `Stream` in `efficient_sed/inference/stream.py`.

import { resample, roundEven, settle } from "./samples.js";
import { slice } from "./windows.js";

export class Stream {
  /**
   * @param grid Frames of the model, with `stream`: hop, look-ahead and window in frames.
   * @param rate Of the samples that come in, in Hz.
   * @param score From a waveform to scores, columns of frames.
   * @param onSound Called with each further sound at the model's rate.
   */
  constructor(grid, rate, score, onSound) {
    Object.assign(this, { grid, rate, score, onSound });
    this.heard = new Float32Array(0); // what later windows may need
    this.dropped = 0; // samples before that
    this.given = 0; // frames whose scores were returned
    this.drawn = 0; // frames whose sound was given to onSound
  }

  get seconds() {
    return (this.dropped + this.heard.length) / this.rate;
  }

  /** Yields scores of the frames that are due. */
  async *push(samples) {
    const all = new Float32Array(this.heard.length + samples.length);
    all.set(this.heard);
    all.set(samples, this.heard.length);
    this.heard = all;
    const { hop, lookAhead } = this.grid.stream;
    const whole = Math.floor(settle(this.seconds / this.grid.hop));
    while (whole >= this.given + hop + lookAhead) yield await this.pass(this.given + hop + lookAhead, this.given + hop);
  }

  /** Yields scores of the frames that are left. */
  async *finish() {
    const total = Math.ceil(settle(this.seconds / this.grid.hop));
    if (total > this.given) yield await this.pass(total, total);
  }

  async pass(present, until) {
    const { hop, hopLength, stride, sampleRate, minSamples, stream } = this.grid;
    const begin = Math.max(0, Math.min(present - stream.window, this.given));
    const [first, last] = [begin, present].map((frame) => roundEven(frame * hop * this.rate));
    this.heard = this.heard.slice(first - this.dropped);
    this.dropped = first;
    const length = Math.max((present - begin) * hopLength * stride, minSamples);
    const waveform = new Float32Array(length);
    waveform.set(resample(this.heard.subarray(0, last - first), this.rate, sampleRate).subarray(0, length));
    this.onSound(waveform.subarray((this.drawn - begin) * hopLength * stride, (present - begin) * hopLength * stride));
    this.drawn = present;
    const scores = slice(await this.score(waveform), this.given - begin, until - begin);
    this.given = until;
    return scores;
  }
}
