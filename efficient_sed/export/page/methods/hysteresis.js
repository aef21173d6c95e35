// Hysteresis, largest gap and shortest event at all thresholds at once, as `efficient_sed/postprocessing/hysteresis.py`.

import { settle } from "../samples.js";

// Goes on from a start down to a share of it, forwards or backwards.
function reach(scores, low, isBackwards) {
  const reached = new Float32Array(scores.length);
  let last = 0;
  for (let k = 0; k < scores.length; k++) {
    const frame = isBackwards ? scores.length - 1 - k : k;
    last = Math.max(Math.min(last, Math.fround(scores[frame] / low)), scores[frame]);
    reached[frame] = last;
  }
  return reached;
}

// The best of each whole window; van Herk, 1992.
function slide(values, window, best) {
  const [fromBegin, fromEnd] = [values.slice(), values.slice()];
  for (let k = 1; k < values.length; k++) if (k % window) fromBegin[k] = best(fromBegin[k], fromBegin[k - 1]);
  for (let k = values.length - 2; k >= 0; k--) if ((k + 1) % window) fromEnd[k] = best(fromEnd[k], fromEnd[k + 1]);
  return Float32Array.from({ length: values.length - window + 1 }, (_, k) => best(fromEnd[k], fromBegin[k + window - 1]));
}

function pad(scores, width) {
  const padded = new Float32Array(scores.length + 2 * width);
  padded.set(scores, width);
  return padded;
}

export function apply(scores, { low, min_event_s: minEvent, max_gap_s: maxGap }, hop) {
  const gap = Math.floor(settle(maxGap / hop));
  const length = Math.max(1, Math.ceil(settle(minEvent / hop)));
  let row = scores;
  if (low < 1) {
    const [before, behind] = [false, true].map((isBackwards) => reach(scores, Math.fround(low), isBackwards));
    row = before.map((score, frame) => Math.max(score, behind[frame]));
  }
  if (gap > 0) row = slide(slide(pad(row, gap), gap + 1, Math.max), gap + 1, Math.min);
  if (length > row.length) return new Float32Array(row.length);
  if (length > 1) row = slide(slide(pad(row, length - 1), length, Math.min), length, Math.max);
  return row;
}
