// A spectrogram for the screen, mel bands in decibels, as `efficient_sed/audio/display.py`.

/** Columns of mel powers, computed while sound at the model's rate comes in. */
export class Spectrogram {
  /** @param picture Constants of `display.py`. @param pool Frames of a column. */
  constructor(picture, pool) {
    Object.assign(this, picture, { pool });
    this.columnSeconds = (pool * picture.hopLength) / picture.sampleRate;
    this.columns = []; // Float32Array of powers each
    this.sum = new Float64Array(picture.bands);
    this.numSummed = 0;
    this.loudest = 0;
    this.pending = new Float32Array((picture.windowLength - picture.hopLength) / 2);
    this.hann = Float64Array.from({ length: picture.windowLength }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / picture.windowLength));
    this.filters = makeFilters(picture);
    this.transform = makeTransform(picture.fftLength);
  }

  push(samples) {
    const all = new Float32Array(this.pending.length + samples.length);
    all.set(this.pending);
    all.set(samples, this.pending.length);
    let begin = 0;
    for (; begin + this.windowLength <= all.length; begin += this.hopLength) this.addFrame(all.subarray(begin, begin + this.windowLength));
    this.pending = all.slice(begin);
  }

  finish() {
    this.push(new Float32Array((this.windowLength + this.hopLength) / 2 - 1));
    if (this.numSummed) this.closeColumn();
  }

  addFrame(samples) {
    const real = new Float64Array(this.fftLength);
    for (let k = 0; k < samples.length; k++) real[k] = samples[k] * this.hann[k];
    const imaginary = new Float64Array(this.fftLength);
    this.transform(real, imaginary);
    for (const [band, { first, weights }] of this.filters.entries()) {
      let power = 0;
      for (const [k, weight] of weights.entries()) power += weight * (real[first + k] ** 2 + imaginary[first + k] ** 2);
      this.sum[band] += power;
    }
    if (++this.numSummed === this.pool) this.closeColumn();
  }

  closeColumn() {
    const powers = Float32Array.from(this.sum, (value) => value / this.numSummed);
    this.columns.push(powers);
    this.loudest = powers.reduce((a, b) => Math.max(a, b), this.loudest);
    this.sum.fill(0);
    this.numSummed = 0;
  }

  /** Brightness {levels, shape: [bands, columns], numLevels, columnSeconds, start} of columns, `group` of them as one. */
  draw(begin = 0, group = 1) {
    const count = Math.ceil((this.columns.length - begin) / group);
    const levels = new Uint8Array(this.bands * count);
    const top = 10 * Math.log10(this.loudest);
    for (let column = 0; column < count; column++) {
      const some = this.columns.slice(begin + column * group, begin + (column + 1) * group);
      for (let band = 0; band < this.bands; band++) {
        const power = some.reduce((sum, powers) => sum + powers[band], 0) / some.length;
        const share = this.loudest ? (10 * Math.log10(Math.max(power, 2 ** -126)) - top) / this.rangeDb + 1 : 0;
        levels[band * count + column] = Math.max(0, Math.min(this.numLevels - 1, Math.round(share * (this.numLevels - 1))));
      }
    }
    const { bands, numLevels, columnSeconds } = this;
    return { levels, shape: [bands, count], numLevels, columnSeconds: columnSeconds * group, start: begin * columnSeconds };
  }
}

// Triangular mel filters: {first bin, weights} each.
function makeFilters({ bands, lowestHz, highestHz, fftLength, sampleRate }) {
  const toMel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
  const [low, high] = [toMel(lowestHz), toMel(highestHz)];
  const bins = Array.from({ length: fftLength / 2 + 1 }, (_, bin) => toMel((bin * sampleRate) / fftLength));
  return Array.from({ length: bands }, (_, band) => {
    const [left, middle, right] = [0, 1, 2].map((k) => low + ((band + k) * (high - low)) / (bands + 1));
    const weights = bins.map((mel) => Math.max(0, Math.min((mel - left) / (middle - left), (right - mel) / (right - middle))));
    const first = Math.max(0, weights.findIndex((weight) => weight > 0));
    return { first, weights: weights.slice(first, weights.findLastIndex((weight) => weight > 0) + 1) };
  });
}

// The fast Fourier transform of Cooley and Tukey, in place.
function makeTransform(length) {
  const [cosines, sines] = [Math.cos, Math.sin].map((part) => Float64Array.from({ length: length / 2 }, (_, k) => part((-2 * Math.PI * k) / length)));
  const bits = Math.log2(length);
  const reversed = Uint32Array.from({ length }, (_, k) => parseInt(k.toString(2).padStart(bits, "0").split("").reverse().join(""), 2));
  return (real, imaginary) => {
    for (let k = 0; k < length; k++) {
      const other = reversed[k];
      if (other > k) for (const part of [real, imaginary]) [part[k], part[other]] = [part[other], part[k]];
    }
    for (let half = 1; half < length; half *= 2) {
      const stride = length / 2 / half;
      for (let begin = 0; begin < length; begin += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [even, odd] = [begin + k, begin + k + half];
          const [cosine, sine] = [cosines[k * stride], sines[k * stride]];
          const x = real[odd] * cosine - imaginary[odd] * sine;
          const y = real[odd] * sine + imaginary[odd] * cosine;
          real[odd] = real[even] - x;
          imaginary[odd] = imaginary[even] - y;
          real[even] += x;
          imaginary[even] += y;
        }
      }
    }
  };
}
