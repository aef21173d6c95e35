// Median filter with reflected borders, as `efficient_sed/postprocessing/median.py`.

function placeIn(ordered, count, value) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ordered[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function apply(scores, { window }) {
  if (window === 1) return scores;
  const [half, length] = [window >> 1, scores.length];
  const at = (frame) => {
    const place = ((frame % (2 * length)) + 2 * length) % (2 * length);
    return scores[place < length ? place : 2 * length - 1 - place];
  };
  const ordered = new Float32Array(window + 1);
  for (let k = 0; k < window; k++) ordered[k] = at(k - half);
  ordered.subarray(0, window).sort();
  return Float32Array.from(scores, (_, frame) => {
    if (frame) {
      const left = placeIn(ordered, window, at(frame - 1 - half));
      ordered.copyWithin(left, left + 1, window);
      const entering = at(frame + half);
      const place = placeIn(ordered, window - 1, entering);
      ordered.copyWithin(place + 1, place, window - 1);
      ordered[place] = entering;
    }
    return ordered[half];
  });
}
