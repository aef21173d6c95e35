// Samples as `efficient_sed/audio/io.py` reads them: the mean of all channels, resampled by the same filter.

const HALF_WIDTH = 6; // zero crossings of the filter on each side
const ROLLOFF = 0.99; // of the lower Nyquist frequency
const MARGIN_S = 1; // read around a part, so that resampling it equals resampling the whole
const filters = new Map();

/** As Python rounds: halves to the even neighbour. */
export function roundEven(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

/** Rounds at a millionth, so that 3.0000000004 frames are three. */
export const settle = (value) => roundEven(value * 1e6) / 1e6;

/** The mean of channels of one length, in single precision. */
export function toMono([first, ...others]) {
  const mono = Float32Array.from(first);
  for (const other of others) for (let k = 0; k < mono.length; k++) mono[k] += other[k];
  if (others.length) for (let k = 0; k < mono.length; k++) mono[k] /= others.length + 1;
  return mono;
}

const divisor = (a, b) => (b ? divisor(b, a % b) : a);

// For each of `perStep` outputs of a step: the first input, counted from the step's, and the weights that are not 0.
function makeFilters(step, perStep) {
  const key = `${step}/${perStep}`;
  if (!filters.has(key)) {
    const cutoff = Math.min(step, perStep) * ROLLOFF;
    const half = Math.ceil((HALF_WIDTH * step) / cutoff);
    const weightAt = (input, output) => {
      const time = Math.max(-HALF_WIDTH, Math.min(HALF_WIDTH, (input / step - output / perStep) * cutoff));
      const sinc = time === 0 ? 1 : Math.sin(Math.PI * time) / (Math.PI * time);
      return (sinc * Math.cos((time * Math.PI) / HALF_WIDTH / 2) ** 2 * cutoff) / step;
    };
    filters.set(key, Array.from({ length: perStep }, (_, output) => {
      const begin = Math.floor((output * step) / perStep) - half;
      return { begin, weights: Float32Array.from({ length: 2 * half + 2 }, (_, k) => weightAt(begin + k, output)) };
    }));
  }
  return filters.get(key);
}

/** A Hann-windowed sinc filter, as in `efficient_sed/audio/resample.py`. */
export function resample(samples, rate, wanted) {
  if (rate === wanted) return samples;
  const common = divisor(rate, wanted);
  const [step, perStep] = [rate / common, wanted / common];
  const phases = makeFilters(step, perStep);
  const resampled = new Float32Array(Math.ceil((perStep * samples.length) / step));
  for (let k = 0; k < resampled.length; k++) {
    const { begin, weights } = phases[k % perStep];
    const first = Math.floor(k / perStep) * step + begin;
    const last = Math.min(weights.length, samples.length - first);
    let sum = 0;
    for (let tap = Math.max(0, -first); tap < last; tap++) sum += weights[tap] * samples[first + tap];
    resampled[k] = sum;
  }
  return resampled;
}

/** A part of a recording at another rate, from `start` seconds on; beyond the end it is shorter. */
export function readPart(mono, rate, wanted, start, seconds) {
  const first = roundEven(start * rate);
  const margin = rate === wanted ? 0 : MARGIN_S * rate;
  const low = Math.max(0, first - margin);
  const count = Math.min(roundEven(seconds * rate), mono.length - first);
  const part = mono.subarray(low, first + count + margin);
  if (rate === wanted) return part.subarray(first - low, first - low + count);
  const begin = roundEven(((first - low) * wanted) / rate);
  return resample(part, rate, wanted).subarray(begin, begin + Math.max(1, roundEven((count * wanted) / rate)));
}
