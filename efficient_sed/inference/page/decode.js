// Unpacks what the page stores, and finds events in scores as `decode_stream` in postprocessing/events.py does. The page is not touched.

function unpack(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = characters.charCodeAt(index);
  return bytes;
}

async function inflate(text) {
  const stream = new Blob([unpack(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// Classes {label, rank, scores, peak}, the highest peak first; rank is the place of the label in the order of Python's strings.
function toClasses(buffer, labels) {
  const all = new Float32Array(buffer);
  const numFrames = all.length / (labels.length || 1);
  const classes = labels.map((label, rank) => {
    const scores = all.subarray(rank * numFrames, (rank + 1) * numFrames);
    return { label, rank, scores, peak: scores.reduce((a, b) => Math.max(a, b), 0) };
  });
  return classes.sort((a, b) => b.peak - a.peak || a.rank - b.rank);
}

// As numpy and Python round: halves to the even neighbour.
function roundTo(value, digits) {
  const scaled = value * 10 ** digits;
  const up = Math.round(scaled);
  return (up - scaled === 0.5 && up % 2 ? up - 1 : up) / 10 ** digits;
}

// Runs of frames whose score reaches the class's threshold, in single precision as the scores are: {onset, offset, label, score}, by onset, offset and label.
function findEvents(classes, thresholds, hop, duration) {
  const events = [];
  for (const [index, { label, rank, scores }] of classes.entries()) {
    const level = Math.fround(thresholds[index]);
    let first = -1;
    let peak = 0;
    for (let frame = 0; frame <= scores.length; frame++) {
      const isActive = frame < scores.length && scores[frame] >= level;
      if (isActive && first < 0) [first, peak] = [frame, scores[frame]];
      else if (isActive) peak = Math.max(peak, scores[frame]);
      else if (first >= 0) {
        events.push({ onset: roundTo(first * hop, 6), offset: roundTo(Math.min(frame * hop, duration), 6), label, rank, score: peak });
        first = -1;
      }
    }
  }
  return events.sort((a, b) => a.onset - b.onset || a.offset - b.offset || a.rank - b.rank);
}

// The text that `efficient-sed detect --format tsv` writes.
function toTsv(events, name, columns) {
  const number = (value) => (Number.isInteger(value) ? value.toFixed(1) : String(value));
  const field = (text) => (/[\t\n\r"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const rows = events.map(({ onset, offset, label, score }) => [field(name), number(onset), number(offset), field(label), number(roundTo(score, 4))]);
  return [columns, ...(rows.length ? rows : [[field(name), "", "", "", ""]])].map((row) => `${row.join("\t")}\n`).join("");
}

// The text that `efficient-sed detect --format audacity` writes.
function toLabels(events) {
  return events.map(({ onset, offset, label }) => `${onset.toFixed(6)}\t${offset.toFixed(6)}\t${label}\n`).join("");
}
