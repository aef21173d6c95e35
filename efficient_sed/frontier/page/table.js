// The table of what is shown, and the same as CSV.

// Columns {key, label, isText, value(record), shown(record)}: names, then every score and cost that any of the records has.
function tableColumns(records) {
  const text = (key, label, value) => ({ key, label, isText: true, value, shown: value });
  const columns = [
    text("label", "model", (record) => record.label),
    text("family", "family", (record) => record.family),
    text("backbone", "backbone", (record) => record.backbone),
    { key: "runs", label: "runs", value: (record) => record.runs, shown: (record) => String(record.runs) },
  ];
  for (const [key, { label }] of Object.entries(DATA.scores)) {
    const shown = (record) => formatScore(record.scores[key]);
    columns.push({ key, label, value: (record) => record.scores[key]?.[0] ?? null, shown, interval: (record) => record.scores[key] });
  }
  for (const [key, { label }] of Object.entries(DATA.costs)) {
    columns.push({ key, label, value: (record) => record.costs[key]?.[0] ?? null, shown: (record) => (record.costs[key] ? formatValue(record.costs[key][0]) : "") });
  }
  columns.push(text("data", "data", (record) => DATA.groups[record.group].label), text("source", "source", (record) => record.source));
  return columns.filter((column) => records.some((record) => column.value(record) !== null));
}

// 0.4386, or 0.4386 ± 0.0021, or with a bar that is not even 0.4386 [0.4301, 0.4455].
function formatScore(score) {
  if (!score) return "";
  const [value, low, high] = score;
  const main = value.toFixed(4);
  if (low === null) return main;
  return Math.abs(high - value - (value - low)) < 1e-9 ? `${main} ± ${(high - value).toFixed(4)}` : `${main} [${low.toFixed(4)}, ${high.toFixed(4)}]`;
}

function drawTable(table, records, columns, state, onSort, onChoose) {
  const rows = records.map((record) => {
    const row = htmlElement("tr", { className: state.chosen === record ? "chosen" : "" });
    for (const column of columns) {
      const cell = htmlElement("td", { className: column.isText ? "text" : "", title: column.isText ? "" : String(column.value(record) ?? "") });
      if (column.key === "label") cell.append(htmlElement("button", { type: "button", textContent: record.label, onclick: () => onChoose(record) }));
      else cell.textContent = column.shown(record);
      row.append(cell);
    }
    row.dataset.record = DATA.records.indexOf(record);
    return row;
  });
  table.tHead.replaceChildren(htmlElement("tr", {}, ...sortingHeads(columns, state.sort, onSort)));
  table.tBodies[0].replaceChildren(...rows);
}

// Exact values, error bars and provenance of the rows shown, in their order.
function toCsv(records, columns) {
  const header = columns.flatMap(({ key, interval }) => (interval ? [key, `${key}_low`, `${key}_high`] : [key]));
  const rows = records.map((record) => [
    ...columns.flatMap((column) => (column.interval ? (column.interval(record) ?? [null, null, null]).slice(0, 3) : [column.value(record)])),
    record.provenance.map(([name, value]) => `${name}: ${value}`).join(" | "),
  ]);
  return [[...header, "provenance"], ...rows].map((row) => row.map(csvField).join(",")).join("\n") + "\n";
}

function csvField(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value; // or a spreadsheet takes it for a formula
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
