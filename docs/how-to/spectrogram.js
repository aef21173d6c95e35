// The spectrogram that an exported file takes, by the steps that its header lists under "frontend". It gives what
// efficient_sed/audio/frontends/steps.py gives in NumPy. A waveform is a Float64Array, a spectrogram an array of them.

// Samples of one clip in [-1, 1] to a Float32Array, bands by frames, as the file takes it.
export function spectrogram(header, samples) {
  const { steps, first_frame_samples } = header.frontend;
  const frames = steps.reduce((x, step) => STEPS[step.step](x, step), Float64Array.from(samples));
  const count = 1 + Math.floor((samples.length - first_frame_samples) / header.hop_length);
  const bands = frames[0].length, values = new Float32Array(bands * count);
  for (let frame = 0; frame < count; frame++)
    for (let band = 0; band < bands; band++) values[band * count + frame] = frames[frame][band];
  return values;
}

const STEPS = {
  RemoveMean: (x) => { const mean = sum(x) / x.length; return x.map((value) => value - mean); },
  PreEmphasis: (x, { share }) => x.subarray(1).map((value, at) => value - share * x[at]),
  Pad: (x, { before, after, mode }) => Float64Array.from({ length: before + x.length + after }, (_, at) => {
    const place = at - before, last = x.length - 1;
    if (place >= 0 && place <= last) return x[place];
    return mode === "reflect" ? x[place < 0 ? -place : 2 * last - place] : 0;
  }),
  Spectrum: (x, step) => {
    const { window_length, fft_length, hop_length, pre_emphasis, exponent } = step;
    const window = windowOf(step), fourier = createFourier(fft_length), frames = [];
    for (let begin = 0; begin + window_length <= x.length; begin += hop_length) {
      let frame = x.slice(begin, begin + window_length);
      if (pre_emphasis) {
        frame = STEPS.RemoveMean(frame);
        frame = frame.map((value, at) => value - pre_emphasis * frame[Math.max(at - 1, 0)]);
      }
      const power = fourier(frame.map((value, at) => value * window[at]));
      frames.push(exponent === 2 ? power : power.map((value) => value ** (exponent / 2)));
    }
    return frames;
  },
  MelBands: (frames, step) => {
    const filters = melFilters(step);
    return frames.map((power) => Float64Array.from(filters, ({ begin, weights }) => {
      let total = 0;
      for (let at = 0; at < weights.length; at++) total += weights[at] * power[begin + at];
      return total;
    }));
  },
  Log: (frames, { floor, factor }) => each(frames, (value) => factor * Math.log(Math.max(value, floor))),
  Scaled: (x, { offset, factor }) => each(x, (value) => (value + offset) * factor),
  Limit: (frames, { low, high, below_peak }) => {
    const least = below_peak === null ? low : Math.max(low, extreme(frames, Math.max) - below_peak);
    return each(frames, (value) => Math.min(Math.max(value, least), high));
  },
  UnitRange: (frames, { epsilon }) => {
    const low = extreme(frames, Math.min), high = extreme(frames, Math.max);
    return each(frames, (value) => (value - low) / (high - low + epsilon));
  },
  Cepstrum: (frames, { num_coefficients }) => frames.map((frame) => Float64Array.from(
    { length: num_coefficients },
    (_, row) => Math.sqrt((row ? 2 : 1) / frame.length)
      * sum(frame.map((value, at) => value * Math.cos((Math.PI / frame.length) * (at + 0.5) * row))),
  )),
};

const sum = (x) => x.reduce((total, value) => total + value, 0);
const each = (x, change) => (Array.isArray(x) ? x.map((frame) => frame.map(change)) : x.map(change));
const extreme = (frames, pick) => frames.map((x) => x.reduce((a, b) => pick(a, b))).reduce((a, b) => pick(a, b));

function windowOf({ window, window_length, is_periodic, window_power }) {
  const mean = { hann: 0.5, hamming: 0.54 }[window], period = window_length - (is_periodic ? 0 : 1);
  return Float64Array.from({ length: window_length }, (_, at) =>
    (mean - (1 - mean) * Math.cos((2 * Math.PI * at) / period)) ** window_power);
}

// Squared magnitudes of the first half of a Fourier transform: halved while the length is even, sums for the odd rest.
function createFourier(length) {
  const cos = Float64Array.from({ length }, (_, at) => Math.cos((2 * Math.PI * at) / length));
  const sin = Float64Array.from({ length }, (_, at) => -Math.sin((2 * Math.PI * at) / length));
  const real = new Float64Array(length), imaginary = new Float64Array(length);
  function transform(x, from, stride, size, to) {
    if (size % 2) {
      const next = new Array(size);
      for (let bin = 0; bin < size; bin++) {
        let a = 0, b = 0;
        for (let at = 0, turn = 0; at < size; at++, turn = (turn + bin * stride) % length) {
          const value = x[from + at * stride] ?? 0; // zeros behind the window
          a += value * cos[turn];
          b += value * sin[turn];
        }
        next[bin] = [a, b];
      }
      next.forEach(([a, b], bin) => { real[to + bin] = a; imaginary[to + bin] = b; });
      return;
    }
    const half = size / 2;
    transform(x, from, 2 * stride, half, to);
    transform(x, from + stride, 2 * stride, half, to + half);
    for (let bin = to, turn = 0; bin < to + half; bin++, turn += stride) {
      const a = real[bin + half] * cos[turn] - imaginary[bin + half] * sin[turn];
      const b = real[bin + half] * sin[turn] + imaginary[bin + half] * cos[turn];
      real[bin + half] = real[bin] - a; imaginary[bin + half] = imaginary[bin] - b;
      real[bin] += a; imaginary[bin] += b;
    }
  }
  return (frame) => {
    transform(frame, 0, 1, length, 0);
    return Float64Array.from({ length: Math.floor(length / 2) + 1 }, (_, bin) => real[bin] ** 2 + imaginary[bin] ** 2);
  };
}

const SLANEY_STEP = Math.log(6.4) / 27; // Slaney's scale is linear up to 1 kHz, which is mel 15
const TO_MEL = {
  kaldi: (hz) => 1127 * Math.log(1 + hz / 700),
  htk: (hz) => 2595 * Math.log10(1 + hz / 700),
  slaney: (hz) => (hz < 1000 ? (hz * 15) / 1000 : 15 + Math.log(hz / 1000) / SLANEY_STEP),
};
const TO_HZ = {
  htk: (mel) => 700 * (10 ** (mel / 2595) - 1),
  slaney: (mel) => (mel < 15 ? (mel * 1000) / 15 : 1000 * Math.exp((mel - 15) * SLANEY_STEP)),
};

function melFilters({ num_bands, fft_length, sample_rate, low_hz, high_hz, scale }) {
  const low = TO_MEL[scale](low_hz), step = (TO_MEL[scale](high_hz) - low) / (num_bands + 1);
  const isMel = scale === "kaldi"; // its triangles are straight in mel, those of the others in hertz
  const bins = Array.from({ length: Math.floor(fft_length / 2) + 1 }, (_, bin) => (bin * sample_rate) / fft_length)
    .map((hz) => (isMel ? TO_MEL.kaldi(hz) : hz));
  const edges = Array.from({ length: num_bands + 2 }, (_, at) => low + at * step)
    .map((mel) => (isMel ? mel : TO_HZ[scale](mel)));
  return Array.from({ length: num_bands }, (_, band) => {
    const [lower, centre, upper] = edges.slice(band, band + 3);
    const area = scale === "slaney" ? 2 / (upper - lower) : 1;
    const all = bins.map((place, bin) => (isMel && bin === bins.length - 1 ? 0
      : area * Math.max(0, Math.min((place - lower) / (centre - lower), (upper - place) / (upper - centre)))));
    const begin = Math.max(0, all.findIndex((weight) => weight > 0));
    return { begin, weights: Float64Array.from(all.slice(begin, all.findLastIndex((weight) => weight > 0) + 1)) };
  });
}
