// The choices of the reader, and what is drawn for them.

const ZOOMS = [60, 20, 5]; // seconds
const NUM_CURVES = 12; // shown at first
const NUM_ROWS = 200; // of the table
const ROUNDING = 1e-6; // seconds
const COLUMNS = [
  { key: "onset", label: "onset s", value: (event) => event.onset, shown: (event) => event.onset.toFixed(2) },
  { key: "offset", label: "offset s", value: (event) => event.offset, shown: (event) => event.offset.toFixed(2) },
  { key: "label", label: "label", isText: true, value: (event) => event.label, shown: (event) => event.label },
  { key: "score", label: "score", value: (event) => event.score, shown: (event) => event.score.toFixed(3) },
];
const state = { threshold: DATA.threshold, view: { start: 0, length: DATA.duration }, sort: { key: "onset", isDescending: false }, hasAllCurves: false };
let classes = [];
let events = [];
let painted = null;

function describePage() {
  const name = DATA.name.split(/[\\/]/).at(-1);
  document.title = name;
  at("name").textContent = name;
  const parts = [`${formatTime(DATA.duration, DATA.duration >= 60)}${DATA.duration >= 60 ? " min" : ""}`];
  if (DATA.model) parts.push(`model ${DATA.model}, ${DATA.numClasses} ${DATA.numClasses === 1 ? "class" : "classes"}`);
  at("about").textContent = `${parts.join(", ")}. Written by efficient_sed ${DATA.version}, ${DATA.created}.`;
  at("warning").hidden = !DATA.warning;
  at("warning").textContent = DATA.warning;
  const lengths = ZOOMS.filter((seconds) => seconds < DATA.duration);
  at("zoom").replaceChildren(htmlElement("option", { value: "", textContent: "all" }), ...lengths.map((seconds) => htmlElement("option", { value: seconds, textContent: `${seconds} s` })));
  for (const id of ["threshold", "threshold-number"]) at(id).min = DATA.lowest;
}

function warn(text) {
  at("notice").hidden = false;
  at("notice").textContent = text;
}

function setThreshold(threshold) {
  if (!(threshold >= DATA.lowest && threshold < 1)) return;
  state.threshold = threshold;
  decode();
}

function decode() {
  events = findEvents(classes, state.threshold, DATA.hop, DATA.duration);
  at("threshold").value = state.threshold;
  if (at("threshold-number").valueAsNumber !== state.threshold) at("threshold-number").value = state.threshold;
  const numLabels = new Set(events.map((event) => event.label)).size;
  at("summary").textContent = `${events.length} ${events.length === 1 ? "event" : "events"} of ${numLabels} ${numLabels === 1 ? "class" : "classes"} at threshold ${state.threshold}`;
  drawRoll(at("roll"), classes, events, state.view);
  moveThresholds(at("curves"), state.threshold);
  drawRows();
}

function drawView() {
  drawSpectrogram(at("spectrogram"), painted, DATA.spectrogram.columnSeconds, state.view);
  drawTimes(at("times"), at("grid"), state.view, DATA.duration);
  drawRoll(at("roll"), classes, events, state.view);
  drawCurves(at("curves"), state.hasAllCurves ? classes : classes.slice(0, NUM_CURVES), DATA.hop, state.view);
  moveThresholds(at("curves"), state.threshold);
  at("all").hidden = classes.length <= NUM_CURVES;
  at("all").textContent = state.hasAllCurves ? `Show ${NUM_CURVES} classes` : `Show all ${classes.length} classes that reach ${DATA.lowest}`;
  if (!classes.length) at("curves").replaceChildren(htmlElement("p", { className: "soft", textContent: `No class reaches ${DATA.lowest}.` }));
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

function seek(seconds) {
  at("sound").currentTime = Math.min(Math.max(0, seconds), DATA.duration);
  showPosition();
}

// Moves the cursor, and the view with it.
function showPosition() {
  const now = Math.min(at("sound").currentTime, DATA.duration);
  const { start, length } = state.view;
  if (now < start - ROUNDING || now > start + length + ROUNDING) {
    state.view.start = Math.min(Math.max(0, now - length / 10), DATA.duration - length);
    drawView();
    return;
  }
  at("cursor").style.left = `${(100 * (now - start)) / length}%`;
}

function followSound() {
  showPosition();
  if (!at("sound").paused) requestAnimationFrame(followSound);
}

function setZoom(seconds) {
  const length = seconds || DATA.duration;
  state.view = { start: Math.min(Math.max(0, at("sound").currentTime - length / 2), DATA.duration - length), length };
  drawView();
}

function timeAt(event) {
  const box = at("over").getBoundingClientRect();
  const share = (event.clientX - box.left) / box.width;
  return share >= 0 && share <= 1 ? state.view.start + share * state.view.length : null;
}

function seekTo(event) {
  const seconds = timeAt(event);
  if (seconds !== null) seek(seconds);
}

function pressKey(event) {
  const { tagName } = event.target;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === " " && !["AUDIO", "BUTTON", "SELECT"].includes(tagName)) at("sound").paused ? at("sound").play() : at("sound").pause();
  else if (["ArrowLeft", "ArrowRight"].includes(event.key) && !["AUDIO", "SELECT", "INPUT"].includes(tagName)) {
    seek(at("sound").currentTime + (event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 5 : 1));
  } else return;
  event.preventDefault();
}

function listen() {
  at("controls").onsubmit = (event) => event.preventDefault();
  at("threshold").oninput = () => setThreshold(at("threshold").valueAsNumber);
  at("threshold-number").oninput = () => setThreshold(at("threshold-number").valueAsNumber);
  at("zoom").onchange = () => setZoom(Number(at("zoom").value));
  at("all").onclick = () => { state.hasAllCurves = !state.hasAllCurves; drawView(); };
  at("save").onclick = () => saveText(toTsv(events, DATA.name, DATA.tsvColumns), "text/tab-separated-values", `${document.title.replace(/\.[^.]*$/, "")}.tsv`);
  at("tracks").onclick = seekTo;
  at("tracks").onpointermove = (event) => { if (event.pointerType === "mouse" && event.buttons === 1) seekTo(event); };
  at("sound").onplay = followSound;
  for (const name of ["timeupdate", "seeking", "seeked"]) at("sound").addEventListener(name, showPosition);
  at("sound").onerror = () => warn("This browser cannot play the sound.");
  document.addEventListener("keydown", pressKey);
  new ResizeObserver(drawView).observe(at("spectrogram"));
}

async function start() {
  describePage();
  at("sound").src = URL.createObjectURL(new Blob([unpack(DATA.sound)], { type: "audio/mpeg" }));
  classes = toClasses(await inflate(DATA.scores), DATA.classes);
  classes.forEach((group, index) => { group.colour = COLOURS[index % COLOURS.length]; });
  painted = paintSpectrogram(await inflate(DATA.spectrogram.levels), DATA.spectrogram);
  drawFrequencies(at("frequencies"), DATA.frequencies);
  decode();
  listen();
}

start().catch((error) => warn(`This browser cannot show the page; take one of 2024 or newer. (${error.message})`));
