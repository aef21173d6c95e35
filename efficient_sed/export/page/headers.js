// The sample rate that an audio file states, so that the browser decodes it without resampling, which
// `efficient_sed/audio/resample.py` does in another way.

const MPEG_RATES = [44100, 48000, 32000];
const AAC_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
const OPUS_RATE = 48000;

/** Its rate in Hz, or null where none is found. @param {ArrayBuffer} buffer The file. */
export function readRate(buffer) {
  const bytes = new Uint8Array(buffer);
  const view = new DataView(buffer);
  const starts = (text, place = 0) => [...text].every((letter, k) => bytes[place + k] === letter.charCodeAt(0));
  try {
    if (["RIFF", "RF64"].some((text) => starts(text)) && starts("WAVE", 8)) return waveRate(view, starts);
    if (starts("fLaC")) return flacRate(bytes, 8);
    if (starts("OggS")) return oggRate(bytes, view, starts);
    if (starts("ftyp", 4)) return mp4Rate(bytes, view, starts);
    return mpegRate(bytes, starts("ID3") ? 10 + syncsafe(bytes) : 0);
  } catch (error) {
    if (error instanceof RangeError) return null; // it ends within its header
    throw error;
  }
}

function waveRate(view, starts) {
  let place = 12;
  while (!starts("fmt ", place)) place += 8 + view.getUint32(place + 4, true) + (view.getUint32(place + 4, true) % 2);
  return view.getUint32(place + 12, true);
}

const flacRate = (bytes, place) => (bytes[place + 10] << 12) | (bytes[place + 11] << 4) | (bytes[place + 12] >> 4);

function oggRate(bytes, view, starts) {
  const place = 27 + bytes[26];
  if (starts("OpusHead", place)) return OPUS_RATE;
  if (starts("\x01vorbis", place)) return view.getUint32(place + 12, true);
  return starts("\x7fFLAC", place) ? flacRate(bytes, place + 17) : null;
}

// From the entry of the sound's samples.
function mp4Rate(bytes, view, starts) {
  for (let place = bytes.indexOf(109); place >= 0; place = bytes.indexOf(109, place + 1)) {
    if (starts("mp4a", place)) return view.getUint16(place + 28) || null;
  }
  return null;
}

const syncsafe = (bytes) => [6, 7, 8, 9].reduce((size, place) => size * 128 + bytes[place], 0);

// MP3, or AAC with headers of its own.
function mpegRate(bytes, begin) {
  for (let place = begin; place + 2 < bytes.length; place++) {
    if (bytes[place] !== 0xff || bytes[place + 1] < 0xe0) continue;
    const [version, layer] = [(bytes[place + 1] >> 3) & 3, (bytes[place + 1] >> 1) & 3];
    if (layer === 0) return version >= 2 ? AAC_RATES[(bytes[place + 2] >> 2) & 15] ?? null : null;
    const rate = MPEG_RATES[(bytes[place + 2] >> 2) & 3];
    if (version !== 1 && rate) return rate / { 3: 1, 2: 2, 0: 4 }[version];
  }
  return null;
}
