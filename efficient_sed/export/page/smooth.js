// Post-processing of scores that come in consecutive pieces, as `efficient_sed/postprocessing/stream.py`.
// A method is one file of `methods` with `apply(scores of a class, its parameters, seconds of a frame)`.

import { concatenate, numFrames, slice } from "./windows.js";

/** Loads the methods of a chain, given as plain values: steps of a name and parameters, one or one a class. */
export async function loadChain(steps, hop) {
  const methods = await Promise.all(steps.map(({ name }) => import(`./methods/${name}.js`)));
  const ofClass = (value, index) => (Array.isArray(value) ? value[index] : value) ?? Infinity; // JSON has no infinity
  const parametersOf = (step, index) => Object.fromEntries(Object.entries(step).map(([key, value]) => [key, ofClass(value, index)]));
  return (columns) => columns.map((column, index) =>
    methods.reduce((scores, method, place) => method.apply(scores, parametersOf(steps[place], index), hop), column));
}

/**
 * Gives out each frame once the `extent` frames that it waits for have followed: pieces {columns, tail}, whose tail is
 * what the frames behind would be if nothing followed.
 */
export async function* smooth(pieces, apply, extent) {
  let seen = null; // frames that are not given out yet, and before them those that these need
  let given = 0; // how many are before
  for await (const piece of pieces) {
    seen = seen ? concatenate(seen, piece) : piece;
    const applied = apply(seen);
    const until = Math.max(given, numFrames(seen) - extent);
    yield { columns: slice(applied, given, until), tail: slice(applied, until) };
    const start = Math.max(0, until - extent);
    seen = slice(seen, start);
    given = until - start;
  }
  if (seen) yield { columns: slice(apply(seen), given), tail: slice(seen, 0, 0) };
}
