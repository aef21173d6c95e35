// Sound event bounding boxes by change points, as `efficient_sed/postprocessing/_change_points.py`: times are whole
// parts of a frame and scores whole units, so that a level output of the filter is level. Sums before a time may exceed
// what a number holds exactly; their differences over an event do not.

import { roundEven } from "../samples.js";

const SHIFT = 10;
const PARTS = 1 << SHIFT; // in which a frame is cut
const UNIT = 2 ** 30; // in which a score is cut
const LEVEL_OFFSET = 1e-3; // added to scores before they are divided

// Sums over time: {units of a frame, total before it}.
function sum(scores) {
  const units = Float64Array.from({ length: scores.length + 1 }, (_, frame) =>
    frame < scores.length ? Math.floor(UNIT * Math.min(Math.max(scores[frame], 0), 1) + 0.5) : 0);
  const total = new Float64Array(scores.length + 1);
  for (let frame = 0; frame < scores.length; frame++) total[frame + 1] = total[frame] + units[frame];
  return { units, total };
}

// Sum of scores from one time to another.
function between({ units, total }, begin, end) {
  const [first, last] = [Math.floor(begin / PARTS), Math.floor(end / PARTS)];
  const rest = units[last] * (end % PARTS) - units[first] * (begin % PARTS);
  return (total[last] - total[first]) * PARTS + rest;
}

// Times at which an end or the middle of the filter meets a frame's border; extremes lie there.
function findMoments(numFrames, half) {
  const rest = half % PARTS;
  const inFrame = [...new Set([0, rest, (PARTS - rest) % PARTS])].sort((a, b) => a - b);
  const moments = new Float64Array(numFrames * inFrame.length + 1);
  for (let frame = 0; frame < numFrames; frame++) inFrame.forEach((part, k) => { moments[frame * inFrame.length + k] = frame * PARTS + part; });
  moments[moments.length - 1] = numFrames * PARTS;
  return moments;
}

// Candidates [begin, end], the stretches in which the filter's output does not rise.
function findCandidates(sums, moments, half) {
  const last = moments.at(-1);
  const outputs = moments.map((time) => between(sums, time, Math.min(time + half, last)) - between(sums, Math.max(time - half, 0), time));
  const edges = [];
  let hasRisen = true;
  for (let k = 0; k + 1 < moments.length; k++) {
    const rises = outputs[k + 1] > outputs[k];
    if (rises !== hasRisen) edges.push(moments[k]);
    hasRisen = rises;
  }
  if (edges.length % 2) edges.push(last);
  return Array.from({ length: edges.length / 2 }, (_, k) => [edges[2 * k], edges[2 * k + 1]]);
}

function extreme(scores, begin, end, best, least) {
  let found = least;
  const last = Math.ceil(end / PARTS);
  for (let frame = Math.floor(begin / PARTS); frame < last; frame++) found = best(found, scores[frame]);
  return found;
}

// Joins neighbours whose gap is shallow; all gaps are judged on the candidates.
function merge(scores, candidates, absolute, relative) {
  const peaks = candidates.map(([begin, end]) => extreme(scores, begin, end, Math.max, -Infinity));
  const boxes = [];
  let first = 0;
  candidates.forEach(([, end], k) => {
    if (k + 1 < candidates.length) {
      const peak = Math.max(peaks[k], peaks[k + 1]);
      const least = extreme(scores, end, candidates[k + 1][0], Math.min, Infinity);
      if ((peak + LEVEL_OFFSET) / (least + LEVEL_OFFSET) < relative && peak - least < absolute) return;
    }
    boxes.push([candidates[first][0], end]);
    first = k + 1;
  });
  return boxes;
}

const firstCentre = (time) => Math.floor((time + PARTS / 2 - 1) / PARTS); // the first frame whose centre is not before

export function apply(scores, { step_s: step, absolute, relative }, hop) {
  const half = roundEven(step * (PARTS / 2 / hop));
  const sums = sum(scores);
  const candidates = findCandidates(sums, findMoments(scores.length, half), half);
  const curve = new Float32Array(scores.length);
  for (const [begin, end] of merge(scores, candidates, absolute, relative)) {
    curve.fill(between(sums, begin, end) / (end - begin) / UNIT, firstCentre(begin), firstCentre(end));
  }
  return curve;
}
