// Choices of the reader, and what is drawn for them: of a recording in a page with `view.html`.

const ZOOMS = [60, 20, 5]; // seconds
const NUM_CURVES = 12; // shown at first
const NUM_ROWS = 200; // of the table
const COLUMNS = [
  { key: "onset", label: "onset s", value: (event) => event.onset, shown: (event) => event.onset.toFixed(2) },
  { key: "offset", label: "offset s", value: (event) => event.offset, shown: (event) => event.offset.toFixed(2) },
  { key: "label", label: "label", isText: true, value: (event) => event.label, shown: (event) => event.label },
  { key: "score", label: "score", value: (event) => event.score, shown: (event) => event.score.toFixed(3) },
];
const DECIMALS = 6; // of thresholds that the slider scales
const BASE = DATA.threshold ?? 1; // what the slider begins with: the threshold that all classes share, or a factor of their own ones
const [LEAST, MOST] = DATA.threshold === null ? [0.05, 4] : [DATA.lowest, 0.99];
const state = { scale: BASE, duration: 0, view: { start: 0, length: 0 }, sort: { key: "onset", isDescending: false }, hasAllCurves: false, numColoured: 0 };
let classes = [];
let rollClasses = []; // and labels that only the truth has
let events = [];
let painted = null;
const shownLevel = (level) => Number(level.toFixed(3));

// Once for a page.
function prepareView() {
  for (const id of ["threshold", "threshold-number"]) Object.assign(at(id), { min: LEAST, max: MOST });
  if (DATA.threshold === null) at("threshold-name").textContent = "Thresholds of all classes, times";
  at("legend").hidden = DATA.truth === null;
  at("unknown").hidden = !DATA.unknown.length;
  at("unknown").textContent = `In the truth, and no class of the model: ${DATA.unknown.join(", ")}.`;
  drawFrequencies(at("frequencies"), DATA.frequencies);
  listen();
}

// Begins with another recording.
function openRecording(name, duration) {
  Object.assign(state, { duration, view: { start: 0, length: duration }, numColoured: 0 });
  document.title = name.split(/[\\/]/).at(-1);
  const lengths = ZOOMS.filter((seconds) => seconds < duration);
  at("zoom").replaceChildren(htmlElement("option", { value: "", textContent: "all" }), ...lengths.map((seconds) => htmlElement("option", { value: seconds, textContent: `${seconds} s` })));
}

function setPainted(canvas) {
  painted = canvas;
}

// The scores that `drawView` shows from now on: classes {label, rank, scores, peak, threshold}, the highest peak first.
function setScores(found) {
  classes = found;
  rollClasses = [...classes, ...DATA.unknown.map((label) => ({ label }))];
  for (const group of rollClasses) group.colour ??= COLOURS[state.numColoured++ % COLOURS.length];
  findAgain();
}

// What a class's score must reach now.
function thresholdOf({ threshold }) {
  if (state.scale === BASE) return threshold;
  if (threshold === BASE) return state.scale;
  return Math.min(0.99, Math.max(DATA.lowest, roundTo((threshold * state.scale) / BASE, DECIMALS)));
}

function setScale(scale) {
  if (!(scale >= LEAST && scale <= (DATA.threshold === null ? MOST : 1 - ROUNDING))) return;
  state.scale = scale;
  decode();
}

function setOwnThreshold(group, threshold) {
  if (!(threshold >= DATA.lowest && threshold < 1)) return;
  group.threshold = (threshold * BASE) / state.scale;
  decode();
}

// Finds the events at the thresholds of now, and lists them.
function findAgain() {
  const thresholds = classes.map(thresholdOf);
  events = findEvents(classes, thresholds, DATA.hop, state.duration);
  at("threshold").value = state.scale;
  if (at("threshold-number").valueAsNumber !== state.scale) at("threshold-number").value = state.scale;
  const numLabels = new Set(events.map((event) => event.label)).size;
  const [least, most] = [Math.min(...thresholds, 1), Math.max(...thresholds, 0)];
  const shown = !classes.length ? `threshold ${state.scale}` : least === most ? `threshold ${shownLevel(least)}` : `thresholds from ${shownLevel(least)} to ${shownLevel(most)}`;
  const wanted = DATA.truth === null ? "" : `; ${DATA.truth.length} in the truth`;
  at("summary").textContent = `${events.length} ${events.length === 1 ? "event" : "events"} of ${numLabels} ${numLabels === 1 ? "class" : "classes"} at ${shown}${wanted}`;
  drawRows();
}

function decode() {
  findAgain();
  drawRoll(at("roll"), rollClasses, events, state.view, DATA.truth);
  showThresholds();
}

function seenClasses() {
  return state.hasAllCurves ? classes : classes.slice(0, NUM_CURVES);
}

function showThresholds() {
  const thresholds = seenClasses().map(thresholdOf);
  moveThresholds(at("curves"), thresholds);
  at("curves").querySelectorAll("input").forEach((input, row) => {
    if (input.valueAsNumber !== thresholds[row] && input !== document.activeElement) input.value = shownLevel(thresholds[row]);
  });
}

function addThresholdInputs() {
  at("curves").querySelectorAll(".name").forEach((name, row) => {
    const group = seenClasses()[row];
    const input = htmlElement("input", { type: "number", step: 0.01, min: DATA.lowest, max: 0.99, inputMode: "decimal", title: "threshold of this class" });
    input.setAttribute("aria-label", `Threshold of ${group.label}`);
    input.oninput = () => setOwnThreshold(group, input.valueAsNumber);
    name.append(" ", input);
  });
}

function drawView() {
  if (!painted) return; // nothing was opened yet
  const { columnSeconds, start = 0 } = DATA.spectrogram; // a part of it while a recording goes on
  drawSpectrogram(at("spectrogram"), painted, columnSeconds, { ...state.view, start: state.view.start - start });
  drawTimes(at("times"), at("grid"), state.view, state.duration);
  drawRoll(at("roll"), rollClasses, events, state.view, DATA.truth);
  drawCurves(at("curves"), seenClasses(), DATA.hop, state.view);
  addThresholdInputs();
  showThresholds();
  at("all").hidden = classes.length <= NUM_CURVES;
  at("all").textContent = state.hasAllCurves ? `Show ${NUM_CURVES} classes` : `Show all ${classes.length} classes that reach ${shownLevel(DATA.lowest)}`;
  if (!classes.length) at("curves").replaceChildren(htmlElement("p", { className: "soft", textContent: `No class reaches ${shownLevel(DATA.lowest)}.` }));
  showPosition();
}

function drawRows() {
  const sorted = sortRecords(events, COLUMNS, state.sort);
  const onSort = ({ key, isText }) => {
    state.sort = { key, isDescending: state.sort.key === key ? !state.sort.isDescending : key === "score" };
    drawRows();
    at("table").querySelector(`th[data-key="${key}"] button`).focus();
  };
  const rows = sorted.slice(0, NUM_ROWS).map((event) => htmlElement("tr", {}, ...COLUMNS.map((column) => {
    const text = column.shown(event);
    if (column.key !== "onset") return htmlElement("td", { className: column.isText ? "text" : "", textContent: text });
    return htmlElement("td", {}, htmlElement("button", { type: "button", textContent: text, title: "go there", onclick: () => seek(event.onset) }));
  })));
  at("table").tHead.replaceChildren(htmlElement("tr", {}, ...sortingHeads(COLUMNS, state.sort, onSort)));
  at("table").tBodies[0].replaceChildren(...rows);
  at("left-out").textContent = events.length > NUM_ROWS ? `${events.length - NUM_ROWS} more are not shown here; the TSV has them all.` : "";
}

function setZoom(seconds) {
  const length = seconds || state.duration;
  state.view = { start: Math.min(Math.max(0, at("sound").currentTime - length / 2), state.duration - length), length };
  drawView();
}

function listen() {
  at("controls").onsubmit = (event) => event.preventDefault();
  at("threshold").oninput = () => setScale(at("threshold").valueAsNumber);
  at("threshold-number").oninput = () => setScale(at("threshold-number").valueAsNumber);
  at("zoom").onchange = () => setZoom(Number(at("zoom").value));
  at("all").onclick = () => { state.hasAllCurves = !state.hasAllCurves; drawView(); };
  const save = (text, type, ending) => saveText(text, type, document.title.replace(/\.[^.]*$/, "") + ending);
  at("save").onclick = () => save(toTsv(events, DATA.name, DATA.tsvColumns), "text/tab-separated-values", ".tsv");
  at("save-labels").onclick = () => save(toLabels(events), "text/plain", ".txt");
  listenToSound();
}
