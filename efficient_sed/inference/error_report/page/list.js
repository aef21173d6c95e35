// The list of errors, and the sound and pictures of the one that is chosen.

const KINDS = { miss: "miss", "false alarm": "false" };
const lengthOf = (error) => error.offset - error.onset;
const ERROR_COLUMNS = [
  { key: "kind", label: "error", isText: true, value: (error) => error.kind, shown: (error) => error.kind },
  { key: "label", label: "class", isText: true, value: (error) => DATA.classes[error.column].label },
  { key: "other", label: "while on", isText: true, value: (error) => (error.other === error.column ? "itself (borders)" : otherName(DATA.classes, error.other)) },
  { key: "score", label: "score", value: (error) => error.score, shown: (error) => error.score.toFixed(2) },
  { key: "length", label: "s", value: lengthOf, shown: (error) => lengthOf(error).toFixed(2) },
  { key: "clip", label: "clip", isText: true, value: (error) => error.clip, shown: (error) => `${error.clip} at ${error.onset.toFixed(1)} s` },
];

function errorRow(error, onChoose) {
  const play = htmlElement("button", { type: "button", className: "play", textContent: "▶", title: "play", onclick: (event) => { event.stopPropagation(); onChoose(error, true); } });
  play.setAttribute("aria-label", `Play ${error.kind} of ${DATA.classes[error.column].label} in ${error.clip}`);
  const cells = ERROR_COLUMNS.map((column) => {
    const kind = column.key === "kind" ? ` kind ${KINDS[error.kind]}` : "";
    return htmlElement("td", { className: column.isText ? `text${kind}` : "", textContent: (column.shown ?? column.value)(error) });
  });
  const row = htmlElement("tr", { onclick: () => onChoose(error, false) }, htmlElement("td", {}, play), ...cells);
  row.dataset.number = DATA.errors.indexOf(error);
  return row;
}

let url = null; // of the sound
let painted = null;

async function showError(error, isPlayed) {
  const { label, threshold } = DATA.classes[error.column];
  Object.assign(state, { chosen: error, duration: error.length, view: { start: 0, length: error.length } });
  at("chosen").replaceChildren(
    htmlElement("b", { className: `kind ${KINDS[error.kind]}`, textContent: `${error.kind}: ${label}` }),
    `, ${error.onset.toFixed(2)} to ${error.offset.toFixed(2)} s of ${error.clip}; highest score ${error.score.toFixed(2)}, threshold ${Number(threshold.toFixed(3))}; `,
    error.other === error.column ? "it is on, with other borders" : `${error.kind === "miss" ? "detected there" : "in the truth there"}: ${otherName(DATA.classes, error.other)}`,
  );
  if (url) URL.revokeObjectURL(url);
  url = URL.createObjectURL(new Blob([unpack(error.sound)], { type: "audio/mpeg" }));
  at("sound").src = url;
  if (isPlayed) at("sound").play();
  painted = null;
  drawView();
  const picture = paintSpectrogram(await inflate(error.spectrogram.levels), error.spectrogram);
  if (state.chosen !== error) return;
  painted = picture;
  drawView();
}

function drawView() {
  const error = state.chosen;
  if (!error) return;
  const { view } = state;
  const columns = [...new Set([error.column, error.other, ...error.truth.map((event) => event[2]), ...error.detected.map((event) => event[2])])].filter((column) => column !== NOTHING);
  const groups = columns.map((column, index) => ({ label: DATA.classes[column].label, column, colour: COLOURS[index % COLOURS.length] }));
  const place = ([onset, offset, column, score]) => ({ onset: Number((onset - error.start).toFixed(3)), offset: Number((offset - error.start).toFixed(3)), label: DATA.classes[column].label, score });
  if (painted) drawSpectrogram(at("spectrogram"), painted, error.spectrogram.columnSeconds, view);
  drawTimes(at("times"), at("grid"), { start: error.start, length: error.length }, error.start + error.length);
  drawRoll(at("roll"), groups, error.detected.map(place), view, error.truth.map(place));
  const curves = error.curves.map(({ column, scores }) => {
    const values = Float32Array.from(scores, (score) => score / SCORE_STEPS);
    return { ...groups.find((group) => group.column === column), scores: values, peak: values.reduce((a, b) => Math.max(a, b), 0) };
  });
  drawCurves(at("curves"), curves, DATA.hop, view);
  moveThresholds(at("curves"), curves.map(({ column }) => DATA.classes[column].threshold));
  at("mark").style.left = `${(100 * (error.onset - error.start)) / error.length}%`;
  at("mark").style.width = `${(100 * lengthOf(error)) / error.length}%`;
  showPosition();
}
