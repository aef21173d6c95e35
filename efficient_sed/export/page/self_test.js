// The self-test of an exported file: an engine may be wrong in one browser only.

import { PageError } from "./model.js";

/** Noise that grows from silence, as `create_sound` makes it. */
export function createSound(length) {
  const sound = new Float32Array(length);
  for (let index = 0, number = 1; index < length; index++) {
    sound[index] = (((number >>> 16) / 32768 - 1) * 0.25 * index) / length;
    number = (Math.imul(number, 1664525) + 1013904223) >>> 0;
  }
  return sound;
}

/** Throws unless the scores of the sound, a column of frames for each class, are those of PyTorch. */
export function checkScores(found, { classes, frames, scores, tolerance }) {
  const highest = Math.max(...scores.flat());
  const differences = scores.map((row, i) => row.map((score, j) => Math.abs(found[classes[i]][frames[j]] - score)));
  const difference = Math.max(...differences.flat()) / highest;
  if (difference <= tolerance) return;
  throw new PageError(
    `This browser computes wrong scores: in the model's self-test they differ by ${difference.toExponential(1)} of the highest one, ` +
    `of which ${tolerance.toExponential(1)} is allowed; take another browser.`,
  );
}
