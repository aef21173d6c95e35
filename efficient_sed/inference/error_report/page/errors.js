// The choices of the reader, and what is drawn for them.

const SCORE_STEPS = 1000; // of curves
const NO_FILTER = { kind: "", column: null, other: null, least: 0, most: Infinity, clip: "" };
const state = {
  ...NO_FILTER, chosen: null, duration: 0, view: { start: 0, length: 1 }, confusionKind: "false alarm",
  sort: { key: null, isDescending: false }, classSort: { key: "events", isDescending: true },
};
const share = (value) => (value === null ? "" : value.toFixed(3));
const count = (number, word, words = `${word}s`) => `${number} ${number === 1 ? word : words}`;
const perHour = ({ detected, found }) => (detected - found) / DATA.hours;
const CLASS_COLUMNS = [
  { key: "label", label: "class", isText: true, value: (own) => own.label },
  { key: "threshold", label: "thresh.", value: (own) => own.threshold, shown: (own) => String(Number(own.threshold.toFixed(3))) },
  { key: "events", label: "events", value: (own) => own.events },
  { key: "found", label: "found", value: (own) => own.found },
  { key: "missed", label: "missed", value: (own) => own.events - own.found },
  { key: "false", label: "false", value: (own) => own.detected - own.found },
  { key: "rate", label: "false/h", value: perHour, shown: (own) => perHour(own).toFixed(1) },
  { key: "precision", label: "prec.", value: precisionOf, shown: (own) => share(precisionOf(own)) },
  { key: "recall", label: "recall", value: recallOf, shown: (own) => share(recallOf(own)) },
  { key: "f1", label: "F1", value: f1Of, shown: (own) => share(f1Of(own)) },
  ...(DATA.psds ? [{ key: "psds", label: DATA.psds.name, value: (own) => own.psds, shown: (own) => share(own.psds) }] : []),
  { key: "best", label: "best F1", value: ({ best }) => best && best[0], shown: ({ best }) => (best ? `${best[0].toFixed(2)} at ${best[1].toFixed(2)}` : "") },
];

function describePage() {
  document.title = `Errors: ${DATA.title}`;
  at("name").textContent = document.title;
  const sum = (key) => DATA.classes.reduce((total, own) => total + own[key], 0);
  const mean = DATA.classes.map(f1Of).filter((value) => value !== null);
  const scores = [`F1 macro ${share(mean.length ? mean.reduce((a, b) => a + b) / mean.length : null)}`, ...(DATA.psds ? [`${DATA.psds.name} macro ${share(DATA.psds.macro)}`] : []), ...(DATA.postprocessing ? [DATA.postprocessing] : [])];
  at("about").textContent = `${count(DATA.numClips, "clip")}, ${Number(DATA.hours.toPrecision(3))} hours, ${count(sum("events"), "event")}: ${sum("found")} found, ${DATA.numErrors.miss} missed, ${count(DATA.numErrors["false alarm"], "false alarm")}; ${scores.join(", ")}. An event is found if a detected one begins within ${DATA.collar} s of it and ends within ${DATA.collar} s or ${100 * DATA.offsetShare} % of its length. Written by efficient_sed ${DATA.version}, ${DATA.created}.`;
  at("warning").hidden = !DATA.warning;
  at("warning").textContent = DATA.warning;
  at("roc-figure").hidden = !DATA.psds;
}

function option(value, textContent) {
  return htmlElement("option", { value, textContent });
}

function fillChoices() {
  const used = (key) => [...new Set(DATA.errors.map((error) => error[key]))].sort((a, b) => otherName(DATA.classes, a).localeCompare(otherName(DATA.classes, b), "en"));
  const columns = DATA.classes.map((_, column) => column).sort((a, b) => otherName(DATA.classes, a).localeCompare(otherName(DATA.classes, b), "en"));
  at("kind").replaceChildren(option("", "all"), option("miss", "misses"), option("false alarm", "false alarms"));
  at("class").replaceChildren(option("", "all"), ...columns.map((column) => option(column, DATA.classes[column].label)));
  at("other").replaceChildren(option("", "anything"), ...used("other").map((other) => option(other, otherName(DATA.classes, other))));
  at("confusion-kind").replaceChildren(option("false alarm", "false alarms"), option("miss", "misses"));
}

function isShown(error) {
  const seconds = lengthOf(error);
  return (!state.kind || error.kind === state.kind) && (state.column === null || error.column === state.column)
    && (state.other === null || error.other === state.other) && seconds >= state.least && seconds <= state.most
    && error.clip.toLowerCase().includes(state.clip.toLowerCase());
}

function setFilter(changes) {
  Object.assign(state, changes);
  const text = (value) => (value === null ? "" : value);
  Object.assign(at("kind"), { value: state.kind });
  Object.assign(at("class"), { value: text(state.column) });
  Object.assign(at("other"), { value: text(state.other) });
  if (state.clip !== at("clip").value) at("clip").value = state.clip;
  if (state.least === 0) at("least").value = "";
  if (state.most === Infinity) at("most").value = "";
  drawClasses();
  drawCharts();
  drawErrors();
}

function redrawOnSort(table, name, columns, draw) {
  return ({ key, isText }) => {
    state[name] = { key, isDescending: state[name].key === key ? !state[name].isDescending : !isText };
    draw();
    table.querySelector(`th[data-key="${key}"] button`).focus();
  };
}

function drawClasses() {
  const table = at("classes");
  const onSort = redrawOnSort(table, "classSort", CLASS_COLUMNS, drawClasses);
  table.tHead.replaceChildren(htmlElement("tr", {}, ...sortingHeads(CLASS_COLUMNS, state.classSort, onSort)));
  table.tBodies[0].replaceChildren(...sortRecords(DATA.classes, CLASS_COLUMNS, state.classSort).map((own) => {
    const column = DATA.classes.indexOf(own);
    const choose = () => setFilter({ column: state.column === column ? null : column });
    const cells = CLASS_COLUMNS.map((each) => {
      const text = (each.shown ?? each.value)(own);
      if (each.key !== "label") return htmlElement("td", { textContent: text });
      return htmlElement("td", { className: "text" }, htmlElement("button", { type: "button", textContent: text, ariaPressed: String(state.column === column) }));
    });
    return htmlElement("tr", { className: state.column === column ? "chosen" : "", onclick: choose }, ...cells);
  }));
}

function drawCharts() {
  at("curves-class").textContent = state.column === null ? "of all classes; dashed: mean" : `blue: ${DATA.classes[state.column].label}; dashed: mean`;
  if (DATA.psds) drawRoc(at("roc"), DATA, state.column);
  drawPrecisionRecall(at("precision-recall"), DATA, state.column);
}

function drawConfusionTable() {
  const kind = state.confusionKind;
  const choose = (column, other) => { setFilter({ ...NO_FILTER, kind, column, other }); at("errors-title").scrollIntoView(); };
  const rest = drawConfusion(at("confusion"), DATA.confusion[kind], DATA.classes, choose);
  at("confusion-note").textContent = kind === "miss" ? "A row counts the missed events of a class; columns say what was detected there." : "A row counts the false alarms of a class; columns say what was on in the truth there, the longest if several.";
  at("confusion-note").append(" The class itself: its borders are off. A click lists the errors.");
  at("confusion-rest").textContent = rest ? `${rest} more ${kind === "miss" ? "misses" : "false alarms"} lie in rows and columns that are not shown.` : "";
}

function shownErrors() {
  return sortRecords(DATA.errors.filter(isShown), ERROR_COLUMNS, state.sort);
}

function drawErrors() {
  const shown = shownErrors();
  const onSort = redrawOnSort(at("table"), "sort", ERROR_COLUMNS, drawErrors);
  at("table").tHead.replaceChildren(htmlElement("tr", {}, htmlElement("th", {}), ...sortingHeads(ERROR_COLUMNS, state.sort, onSort)));
  at("table").tBodies[0].replaceChildren(...shown.map((error) => errorRow(error, chooseError)));
  const total = DATA.numErrors.miss + DATA.numErrors["false alarm"];
  const left = total - DATA.errors.length;
  const leftOut = left ? ` ${left} of all ${total} errors are not on this page: it has those of each class and kind in turn, false alarms from the highest score on, misses from the lowest; --max-errors sets how many.` : "";
  at("summary").replaceChildren(`${shown.length} of ${count(DATA.errors.length, "error")}.`, htmlElement("small", { textContent: leftOut }));
  markChosen();
}

function markChosen() {
  for (const row of at("table").tBodies[0].rows) row.classList.toggle("chosen", DATA.errors[row.dataset.number] === state.chosen);
}

function chooseError(error, isPlayed) {
  showError(error, isPlayed).catch((problem) => warn(`This browser cannot show the spectrogram. (${problem.message})`));
  markChosen();
}

function stepThroughList(event) {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const shown = shownErrors();
  if (!step || !shown.length) return;
  event.preventDefault();
  const next = Math.min(Math.max(shown.indexOf(state.chosen) + step, 0), shown.length - 1);
  chooseError(shown[next], true);
  at("table").tBodies[0].rows[next].scrollIntoView({ block: "nearest" });
}

function listen() {
  const number = (id) => (at(id).value === "" ? null : Number(at(id).value));
  at("controls").onsubmit = (event) => event.preventDefault();
  at("kind").onchange = () => setFilter({ kind: at("kind").value });
  at("class").onchange = () => setFilter({ column: number("class") });
  at("other").onchange = () => setFilter({ other: number("other") });
  at("least").oninput = () => setFilter({ least: number("least") ?? 0 });
  at("most").oninput = () => setFilter({ most: number("most") ?? Infinity });
  at("clip").oninput = () => setFilter({ clip: at("clip").value });
  at("reset").onclick = () => setFilter(NO_FILTER);
  at("confusion-kind").onchange = () => { state.confusionKind = at("confusion-kind").value; drawConfusionTable(); };
  at("list").onkeydown = stepThroughList;
  listenToSound();
  new ResizeObserver(drawCharts).observe(at("charts"));
}

function start() {
  describePage();
  fillChoices();
  setFilter(NO_FILTER);
  drawConfusionTable();
  drawFrequencies(at("frequencies"), DATA.frequencies);
  at("look").hidden = !DATA.errors.length;
  listen();
  if (DATA.errors.length) chooseError(DATA.errors[0], false);
}

start();
