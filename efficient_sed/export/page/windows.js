// Cuts a recording into windows of one length and joins their scores, as `efficient_sed/data/windows.py`.
// Scores are columns: an array of one Float32Array a class, all of one length.

import { settle } from "./samples.js";

const OVERLAP = 0.2; // of a window
const TINY = 2 ** -126;
const single = Math.fround;

/** How many output frames so many samples give. */
export function countFrames(grid, numSamples) {
  return Math.ceil((1 + Math.floor((numSamples - grid.firstFrameSamples) / grid.hopLength)) / grid.stride);
}

/** Windows {start in seconds, first, last, fadeIn, fadeOut in frames}; the last one ends with the recording. */
export function cutWindows(duration, grid) {
  const { hop, windowSeconds } = grid;
  const total = Math.max(1, Math.ceil(settle(duration / hop)));
  const given = countFrames(grid, Math.round(windowSeconds * grid.sampleRate));
  if (settle(duration - windowSeconds) <= 0) return [{ start: 0, first: 0, last: Math.min(given, total), fadeIn: 0, fadeOut: 0 }];
  const size = Math.min(given, Math.floor(settle(windowSeconds / hop)));
  const step = Math.max(Math.ceil(size / 2), size - Math.floor(OVERLAP * size));
  const starts = [];
  for (let start = 0; start < total - size; start += step) starts.push(start);
  starts.push(total - size);
  const ends = [0, ...starts.map((start) => start + size)]; // where the window before each ends, and the last one
  return starts.map((start, index) => {
    const begin = Math.max(start, index ? ends[index - 1] : 0);
    const following = index + 1 < starts.length ? Math.max(starts[index + 1], ends[index]) : start + size;
    const [fadeIn, fadeOut] = [ends[index] - begin, start + size - following].map((frames) => Math.max(0, frames));
    return { start: start * hop, first: begin - start, last: size, fadeIn, fadeOut };
  });
}

export const numFrames = (columns) => columns[0].length;
export const slice = (columns, begin, end) => columns.map((column) => column.slice(begin, end));

export function concatenate(before, after) {
  return before.map((column, index) => {
    const both = new Float32Array(column.length + after[index].length);
    both.set(column);
    both.set(after[index], column.length);
    return both;
  });
}

const toLogit = (score) => single(Math.log(Math.max(score, TINY)) - Math.log(Math.max(1 - score, TINY)));

/** Cross-fades two probabilities: their logits are mixed, with a share of the later one. */
export function fade(before, after, share) {
  const mixed = single(single(single(1 - share) * toLogit(before)) + single(share * toLogit(after)));
  return 1 / (1 + Math.exp(-mixed));
}

/** Joins pieces {window, scores}, each as soon as no later window reaches it. */
export async function* joinWindows(pieces) {
  let shared = null;
  for await (const { window, scores } of pieces) {
    const own = slice(scores, window.first, window.last);
    if (window.fadeIn && shared) {
      for (const [index, column] of own.entries()) {
        for (let k = 0; k < window.fadeIn; k++) column[k] = fade(shared[index][k], column[k], single((k + 0.5) / window.fadeIn));
      }
    }
    const kept = numFrames(own) - window.fadeOut;
    yield slice(own, 0, kept);
    shared = slice(own, kept);
  }
}
