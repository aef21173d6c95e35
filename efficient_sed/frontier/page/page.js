// What is chosen, and what follows from it.

const SWITCHES = { xLog: "x-log", yLog: "y-log", front: "front", area: "area", bars: "bars", arrows: "arrows", names: "names" };
const REACH = 24; // pixels around a point in which the pointer means it
const state = { x: "", y: "", hidden: new Set(), groups: new Set(), words: [], sort: { key: "", isDescending: true }, chosen: null, isKept: false };
let drawn = { points: [], fronts: [], share: null };
let shown = [];

function fillControls() {
  const fill = (select, axes) => select.replaceChildren(...Object.entries(axes).map(([value, { label }]) => htmlElement("option", { value, textContent: label })));
  fill(at("y"), DATA.scores);
  at("y").value = state.y = DATA.first;
  const created = `efficient_sed ${DATA.version}, ${DATA.created}`;
  const count = DATA.records.filter((record) => record.source === "ours").length;
  at("about").textContent = `${count} ${count === 1 ? "configuration" : "configurations"} of ours, circles, and ${DATA.records.length - count} published models, diamonds. Written by ${created}.`;
  for (const [key, id] of Object.entries(SWITCHES)) {
    state[key] = at(id).checked;
    at(id).onchange = () => { state[key] = at(id).checked; render(); };
  }
  at("y").onchange = () => { state.y = at("y").value; state.sort = { key: state.y, isDescending: DATA.scores[state.y].isHigherBetter !== false }; offerGroups(); };
  at("x").onchange = () => { state.x = at("x").value; render(); };
  at("filter").oninput = () => { state.words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean); render(); };
  at("controls").onsubmit = (event) => event.preventDefault();
  at("export").onclick = exportCsv;
}

// Sets of data that have the chosen score; those chosen before stay so, or else our largest is, or the largest published.
function offerGroups() {
  const sizes = new Map();
  for (const record of DATA.records) if (record.scores[state.y]) sizes.set(record.group, (sizes.get(record.group) ?? 0) + 1);
  const available = [...sizes.keys()].sort((a, b) => DATA.groups[a].isPublished - DATA.groups[b].isPublished || sizes.get(b) - sizes.get(a));
  const kept = available.filter((group) => state.groups.has(group));
  state.groups = new Set(kept.length ? kept : available.slice(0, 1));
  at("groups").replaceChildren(at("groups").firstElementChild, ...available.map((group) => {
    const box = htmlElement("input", { type: "checkbox", checked: state.groups.has(group), value: group });
    box.onchange = () => { box.checked ? state.groups.add(group) : state.groups.delete(group); offerCosts(); };
    return htmlElement("label", { title: DATA.groups[group].conditions }, box, `${DATA.groups[group].label} (${sizes.get(group)})`);
  }));
  state.sort = { key: state.y, isDescending: DATA.scores[state.y].isHigherBetter !== false };
  offerCosts();
}

// Costs and families that the chosen data have.
function offerCosts() {
  const records = DATA.records.filter((record) => state.groups.has(record.group) && record.scores[state.y]);
  const keys = Object.keys(DATA.costs).filter((key) => !records.length || records.some((record) => record.costs[key]));
  const offered = keys.length ? keys : Object.keys(DATA.costs);
  at("x").replaceChildren(...offered.map((value) => htmlElement("option", { value, textContent: DATA.costs[value].label })));
  state.x = offered.includes(state.x) ? state.x : offered.includes("macs") ? "macs" : offered[0];
  at("x").value = state.x;
  const families = Object.keys(DATA.families).filter((family) => records.some((record) => record.family === family));
  at("families").replaceChildren(at("families").firstElementChild, ...families.map((family) => {
    const swatch = familyColour(htmlElement("span", { className: "swatch" }), family);
    const button = htmlElement("button", { type: "button" }, swatch, family === "none" ? "no head" : family);
    button.setAttribute("aria-pressed", String(!state.hidden.has(family)));
    button.onclick = () => {
      state.hidden.has(family) ? state.hidden.delete(family) : state.hidden.add(family);
      button.setAttribute("aria-pressed", String(!state.hidden.has(family)));
      render();
    };
    return button;
  }));
  render();
}

function searchText(record) {
  record.text ??= [record.label, record.family, record.source, DATA.groups[record.group].label, ...record.provenance.flat()].join(" ").toLowerCase();
  return record.text;
}

function isShown(record) {
  return state.groups.has(record.group) && Boolean(record.scores[state.y]) && !state.hidden.has(record.family) && state.words.every((word) => searchText(record).includes(word));
}

function render() {
  shown = DATA.records.filter(isShown);
  if (state.chosen && !shown.includes(state.chosen)) Object.assign(state, { chosen: null, isKept: false });
  drawn = drawChart(at("chart"), shown, state);
  const columns = tableColumns(shown);
  const onSort = ({ key, isText }) => {
    state.sort = { key, isDescending: state.sort.key === key ? !state.sort.isDescending : !isText };
    render();
    at("table").querySelector(`th[data-key="${CSS.escape(key)}"] button`).focus();
  };
  drawTable(at("table"), sortRecords(shown, columns, state.sort), columns, state, onSort, (record) => choose(record, true));
  at("data-chosen").textContent = [...state.groups].map((group) => DATA.groups[group].label).join("; ") || "none chosen";
  describe();
  drawDetails();
}

function describe() {
  const { points, fronts, share } = drawn;
  const missing = shown.length - points.length;
  const parts = [`${points.length} of ${DATA.records.filter((record) => state.groups.has(record.group) && record.scores[state.y]).length} models drawn`];
  if (missing) parts.push(`${missing} without a value of ${DATA.costs[state.x].label}${state.xLog || state.yLog ? " that has a logarithm" : ""}`);
  if (fronts.length) parts.push(`${fronts.flat().length} on the Pareto front`);
  const apart = points.filter((point) => point.record.hasExtraTrainingData).length;
  if (apart) parts.push(`${apart} trained on more data, on none`);
  if (share !== null && points.length) parts.push(`which dominates ${(100 * share).toFixed(1)} % of the area between the axes`);
  if (points.some((point) => point.other)) parts.push(state.x === "macs" ? "rings and dashes: as published" : "arrows: to our count");
  at("summary").textContent = `${parts.join(", ")}.`;
  const warnings = [];
  if (state.groups.size > 1) warnings.push(`Scores on this axis do not compare: ${[...state.groups].map((group) => DATA.groups[group].label).join(" against ")}. Each set has a front of its own.`);
  const conditions = [...new Set(points.map(({ record }) => record.costs[state.x][1]).filter(Boolean))];
  if (conditions.length > 1) warnings.push(`${DATA.costs[state.x].label} under different conditions: ${conditions.join("; ")}. Each has a front of its own.`);
  at("notice").hidden = !warnings.length;
  at("notice").textContent = warnings.join(" ");
}

function choose(record, isKept) {
  if (state.isKept && !isKept) return;
  if (state.chosen === record && state.isKept === isKept && !isKept) return;
  Object.assign(state, { chosen: record, isKept });
  for (const element of document.querySelectorAll("[data-record]")) element.classList.toggle("chosen", DATA.records[element.dataset.record] === record);
  drawDetails();
}

function drawDetails() {
  const record = state.chosen;
  if (!record) {
    at("details").replaceChildren(htmlElement("p", { textContent: "Point at a model, or tap it, for all that is known about it: where its numbers come from, seeds, data, versions, device. A click keeps it; Escape lets it go." }));
    return;
  }
  const pairs = Object.entries(DATA.scores).filter(([key]) => record.scores[key]).map(([key, { label }]) => {
    const [value, low, high, bar] = record.scores[key];
    return [label, low === null ? String(value) : `${value} [${low}, ${high}] ${bar}`];
  });
  for (const [key, { label }] of Object.entries(DATA.costs)) {
    if (record.costs[key]) pairs.push([label, `${record.costs[key][0].toLocaleString("en")}${record.costs[key][1] ? `, ${record.costs[key][1]}` : ""}`]);
  }
  const list = htmlElement("dl", {});
  for (const [name, value] of [["family", record.family], ["backbone", record.backbone], ...pairs, ...record.provenance]) {
    list.append(htmlElement("dt", { textContent: name }), htmlElement("dd", { textContent: value }));
  }
  at("details").replaceChildren(htmlElement("h2", { textContent: record.label }), list);
}

function nearest(event) {
  const box = at("chart").getBoundingClientRect();
  const away = ({ px, py }) => Math.hypot(px - (event.clientX - box.left), py - (event.clientY - box.top));
  const best = drawn.points.reduce((found, point) => (found && away(found) <= away(point) ? found : point), null);
  return best && away(best) <= REACH ? best.record : null;
}

function bindChart() {
  const chart = at("chart");
  chart.onpointermove = (event) => { const record = nearest(event); if (record) choose(record, false); };
  chart.onclick = (event) => { const record = nearest(event); state.isKept = false; choose(record, Boolean(record)); };
  chart.onkeydown = (event) => {
    const axis = { ArrowRight: ["px", 1], ArrowLeft: ["px", -1], ArrowUp: ["py", -1], ArrowDown: ["py", 1] }[event.key];
    if (axis && drawn.points.length) {
      const order = [...drawn.points].sort((a, b) => axis[1] * (a[axis[0]] - b[axis[0]]));
      const index = order.findIndex(({ record }) => record === state.chosen);
      state.isKept = false;
      choose(order[Math.min(index + 1, order.length - 1)].record, false);
    } else if (event.key === "Enter" && state.chosen) choose(state.chosen, true);
    else if (event.key === "Escape") { state.isKept = false; choose(null, false); }
    else return;
    event.preventDefault();
  };
  new ResizeObserver(render).observe(chart);
}

function exportCsv() {
  const columns = tableColumns(shown);
  saveText(toCsv(sortRecords(shown, columns, state.sort), columns), "text/csv", "frontier.csv");
}

fillControls();
bindChart();
offerGroups();
