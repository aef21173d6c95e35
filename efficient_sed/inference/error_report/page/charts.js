// Curves of all classes, of which the chosen one stands out.

const [CHART_LEFT, CHART_BOTTOM, CHART_TOP, CHART_RIGHT] = [38, 34, 22, 16];

// Draws axes from 0 to the given ends, and lines {points, kind, title} with marks {x, y, kind, title}.
function drawChart(svg, { xEnd, xLabel, yLabel, lines, marks }) {
  const [width, height] = [svg.clientWidth || 300, svg.clientHeight || 200];
  const x = (value) => CHART_LEFT + (value / xEnd) * (width - CHART_LEFT - CHART_RIGHT);
  const y = (value) => height - CHART_BOTTOM - value * (height - CHART_BOTTOM - CHART_TOP);
  const parts = [];
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(svgElement("line", { class: "grid", x1: x(0), x2: x(xEnd), y1: y(tick), y2: y(tick) }));
    parts.push(svgElement("text", { x: x(0) - 5, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
    parts.push(svgElement("text", { x: x(tick * xEnd), y: y(0) + 15, "text-anchor": "middle" }, String(Number((tick * xEnd).toPrecision(3)))));
  }
  parts.push(svgElement("text", { x: x(xEnd / 2), y: height - 4, "text-anchor": "middle" }, xLabel));
  parts.push(svgElement("text", { x: 0, y: 11 }, yLabel));
  for (const { points, kind, title } of lines) {
    const line = svgElement("path", { class: `line ${kind}`, d: points.map(([a, b], index) => `${index ? "L" : "M"}${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("") });
    line.append(svgElement("title", {}, title));
    parts.push(line);
  }
  for (const mark of marks) {
    const dot = svgElement("circle", { class: mark.kind, cx: x(mark.x), cy: y(mark.y), r: mark.kind === "chosen" ? 5 : 2.5 });
    dot.append(svgElement("title", {}, mark.title));
    parts.push(dot);
  }
  svg.replaceChildren(...parts);
}

// Corners of a staircase that goes on to the end of the axis.
function stairs([efpr, tpr], end) {
  return efpr.flatMap((rate, index) => [[rate, tpr[index]], [efpr[index + 1] ?? end, tpr[index]]]);
}

// The chosen one last, so that it lies on top.
function chosenLast(classes, chosen) {
  return [...classes.keys()].sort((a, b) => (a === chosen) - (b === chosen));
}

function drawRoc(svg, { psds, classes }, chosen) {
  const drawn = chosenLast(classes, chosen).filter((column) => classes[column].roc);
  const lines = drawn.map((column) => ({
    points: stairs(classes[column].roc, psds.maxEfpr), kind: column === chosen ? "chosen" : "", title: `${classes[column].label}: ${psds.name} ${classes[column].psds.toFixed(3)}`,
  }));
  lines.push({ points: stairs(psds.mean, psds.maxEfpr), kind: "mean", title: `mean: ${psds.macro.toFixed(3)}` });
  svg.setAttribute("aria-label", `PSD-ROC of ${drawn.length} classes`);
  drawChart(svg, { xEnd: psds.maxEfpr, xLabel: "false positives an hour", yLabel: "true-positive rate", lines, marks: [] });
}

function drawPrecisionRecall(svg, { classes }, chosen) {
  const drawn = chosenLast(classes, chosen).filter((column) => classes[column].events);
  const kind = (column) => (column === chosen ? "chosen" : "");
  const lines = drawn.map((column) => ({ points: classes[column].precisionRecall, kind: kind(column), title: classes[column].label }));
  const marks = drawn.filter((column) => classes[column].detected).map((column) => {
    const { label, threshold } = classes[column];
    const [x, y] = [recallOf(classes[column]), precisionOf(classes[column])];
    return { x, y, kind: kind(column), title: `${label} at ${Number(threshold.toFixed(3))}: precision ${y.toFixed(3)}, recall ${x.toFixed(3)}` };
  });
  svg.setAttribute("aria-label", `Precision and recall of ${drawn.length} classes`);
  drawChart(svg, { xEnd: 1, xLabel: "recall", yLabel: "precision", lines: lines.filter(({ points }) => points.length), marks });
}

// Shares of a class's counts; null where there is nothing to count.
function precisionOf({ detected, found }) {
  return detected ? found / detected : null;
}

function recallOf({ events, found }) {
  return events ? found / events : null;
}

function f1Of({ events, detected, found }) {
  return events ? (2 * found) / (events + detected) : null;
}
