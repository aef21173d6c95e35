// The plot.

const MARGIN = { left: 62, right: 16, top: 30, bottom: 46 };
const MACS = ["macs", "macs_published"];

function familyColour(element, family) {
  const colour = DATA.families[family];
  element.style.setProperty("--family", colour === "#000000" ? "var(--ink)" : colour);
  return element;
}

// Records as points: {record, x, y, low, high, from, set}; `from` is where the published MACs lie, `set` what they compare with.
function toPoints(records, state) {
  return records
    .filter((record) => record.costs[state.x] && (!state.xLog || record.costs[state.x][0] > 0) && (!state.yLog || record.scores[state.y][0] > 0))
    .map((record) => {
      const [y, low, high] = record.scores[state.y];
      const [x, condition] = record.costs[state.x];
      const other = MACS.includes(state.x) ? record.costs[MACS.find((key) => key !== state.x)] : undefined;
      const isPublished = DATA.groups[record.group].isPublished;
      return { record, x, y, low, high, other: state.arrows && isPublished && other ? other[0] : null, isPublished, set: `${record.group} ${condition}` };
    });
}

// Draws into the svg and returns {points with pixels, fronts, share of the plane that is dominated, if there is one set}.
function drawChart(svg, records, state) {
  const [width, height] = [svg.clientWidth, svg.clientHeight];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const points = toPoints(records, state);
  const xIsHigherBetter = DATA.costs[state.x].isHigherBetter;
  const yIsHigherBetter = DATA.scores[state.y].isHigherBetter;
  const ends = points.flatMap((point) => (state.bars && point.low !== null ? [point.low, point.high] : [])).filter((value) => !state.yLog || value > 0);
  const xScale = makeScale(points.flatMap((point) => (point.other ? [point.x, point.other] : [point.x])), state.xLog, MARGIN.left, width - MARGIN.right, 0.06);
  const yScale = makeScale([...points.map((point) => point.y), ...ends], state.yLog, height - MARGIN.bottom, MARGIN.top, 0.08);
  for (const point of points) Object.assign(point, { px: xScale.toPixel(point.x), py: yScale.toPixel(point.y) });

  const layers = [drawAxes(xScale, yScale, width, height, state)];
  const sets = Map.groupBy(points.filter((point) => !point.record.hasExtraTrainingData), (point) => point.set);
  const fronts = [];
  let share = null;
  for (const set of yIsHigherBetter === null ? [] : sets.values()) {
    const front = paretoFront(set, xIsHigherBetter, yIsHigherBetter);
    const corners = staircase(front, xScale, yScale, xIsHigherBetter);
    const area = dominatedArea(corners, xScale, yScale, xIsHigherBetter, yIsHigherBetter);
    fronts.push(front);
    if (sets.size === 1) share = polygonArea(area) / polygonArea([[xScale.start, yScale.start], [xScale.end, yScale.start], [xScale.end, yScale.end], [xScale.start, yScale.end]]);
    if (state.area) layers.push(svgElement("polygon", { class: "area", points: area.join(" ") }));
    if (state.front) layers.push(svgElement("polyline", { class: "front", points: corners.join(" ") }));
    const before = set.filter((point) => point.other && state.x === "macs").map((point) => ({ x: point.other, y: point.y }));
    if (state.front && before.length) {
      const published = staircase(paretoFront(before, false, yIsHigherBetter), xScale, yScale, false);
      layers.push(svgElement("polyline", { class: "front published", points: published.join(" ") }));
    }
  }
  for (const point of points) layers.push(...drawArrow(point, xScale, state));
  if (state.bars) layers.push(...points.filter((point) => point.low !== null).map((point) => drawBar(point, yScale, state)));
  for (const point of points) layers.push(drawMarker(point, state));
  svg.replaceChildren(...layers);
  const isOnFront = new Set(fronts.flat());
  if (state.names) drawNames(svg, [...points].sort((a, b) => isOnFront.has(b) - isOnFront.has(a)), layers, width);
  return { points, fronts, share };
}

function drawAxes(xScale, yScale, width, height, state) {
  const group = svgElement("g", {});
  const bottom = height - MARGIN.bottom;
  for (const tick of xScale.ticks) {
    const x = xScale.toPixel(tick);
    group.append(svgElement("line", { class: "grid", x1: x, x2: x, y1: MARGIN.top, y2: bottom }), svgElement("text", { x, y: bottom + 17, "text-anchor": "middle" }, formatValue(tick)));
  }
  for (const tick of yScale.ticks) {
    const y = yScale.toPixel(tick);
    group.append(svgElement("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }));
    group.append(svgElement("text", { x: MARGIN.left - 7, y: y + 4, "text-anchor": "end" }, formatValue(tick)));
  }
  group.append(svgElement("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }));
  group.append(svgElement("line", { class: "axis", x1: MARGIN.left, x2: MARGIN.left, y1: MARGIN.top, y2: bottom }));
  const better = (isHigherBetter) => (isHigherBetter === null ? "" : ` (${isHigherBetter ? "higher" : "lower"} is better)`);
  const { [state.x]: cost } = DATA.costs;
  const { [state.y]: score } = DATA.scores;
  group.append(svgElement("text", { class: "title", x: width - MARGIN.right, y: height - 8, "text-anchor": "end" }, cost.label + better(cost.isHigherBetter)));
  group.append(svgElement("text", { class: "title", x: 4, y: 16 }, score.label + better(score.isHigherBetter)));
  return group;
}

// From the MACs as published to our count; a hollow ring marks the end that is not the point's own.
function drawArrow(point, xScale, state) {
  if (!point.other) return [];
  const ring = xScale.toPixel(point.other);
  const [from, to] = state.x === "macs" ? [ring, point.px] : [point.px, ring];
  if (Math.abs(to - from) < 12) return [];
  const sign = Math.sign(to - from);
  const tip = to - sign * 6;
  const family = point.record.family;
  return [
    familyColour(svgElement("line", { class: "arrow", x1: from, x2: tip - sign * 5, y1: point.py, y2: point.py }), family),
    familyColour(svgElement("circle", { class: "origin", cx: ring, cy: point.py, r: 3.2 }), family),
    familyColour(svgElement("polygon", { class: "arrowhead", points: [[tip, point.py], [tip - sign * 7, point.py - 3.5], [tip - sign * 7, point.py + 3.5]].join(" ") }), family),
  ];
}

function drawBar(point, yScale, state) {
  const bottom = state.yLog && point.low <= 0 ? yScale.start : yScale.toPixel(point.low);
  const [x, top] = [point.px, yScale.toPixel(point.high)];
  return familyColour(svgElement("path", { class: "bar", d: `M${x - 4},${top}h8m-4,0V${bottom}m-4,0h8` }), point.record.family);
}

function drawMarker(point, state) {
  const { px: x, py: y, record } = point;
  const kind = `point${point.isPublished ? " published" : ""}${state.chosen === record ? " chosen" : ""}`;
  const shape = point.isPublished
    ? svgElement("rect", { class: kind, x: x - 4.5, y: y - 4.5, width: 9, height: 9, transform: `rotate(45 ${x} ${y})` })
    : svgElement("circle", { class: kind, cx: x, cy: y, r: 6 });
  shape.setAttribute("data-record", DATA.records.indexOf(record));
  return familyColour(shape, record.family);
}

// Names beside their points where there is room, those on a front first; of the places that are free, the one that covers least of the lines.
function drawNames(svg, order, layers, width) {
  const boxes = order.map(({ px, py }) => [px - 6, py - 6, px + 6, py + 6]);
  const dots = layers.filter((layer) => /front|arrow$|bar/.test(layer.getAttribute("class"))).flatMap(dotsAlong);
  for (const { px, py, record } of order) {
    const name = svgElement("text", { class: "name" }, record.label);
    svg.append(name);
    const size = name.getComputedTextLength();
    const left = px - size;
    const places = [[px + 9, py + 4], [left - 9, py + 4], [left - 5, py - 8], [px + 6, py + 16], [px + 6, py - 8], [left - 5, py + 16], [px - size / 2, py - 11], [px - size / 2, py + 19]];
    const free = places.map(([x, y]) => [x, y - 10, x + size, y + 3]).filter((box) => {
      return box[0] > MARGIN.left && box[2] < width && !boxes.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
    });
    if (!free.length) {
      name.remove();
      continue;
    }
    const isAstray = (box) => order.some((other) => other.record !== record && gap(other, box) < gap({ px, py }, box));  // it would seem to be that one's
    const covered = free.map((box) => dots.filter(([x, y]) => x > box[0] && x < box[2] && y > box[1] && y < box[3]).length + (isAstray(box) ? 1000 : 0));
    const box = free[covered.indexOf(Math.min(...covered))];
    boxes.push(box);
    name.setAttribute("x", box[0]);
    name.setAttribute("y", box[3] - 3);
  }
}

// From a point to a box.
function gap({ px, py }, [x1, y1, x2, y2]) {
  return Math.hypot(Math.max(x1 - px, px - x2, 0), Math.max(y1 - py, py - y2, 0));
}

// Places every few pixels along a drawn line.
function dotsAlong(line) {
  const length = line.getTotalLength();
  return Array.from({ length: Math.floor(length / 4) }, (_, index) => { const { x, y } = line.getPointAtLength(4 * index); return [x, y]; });
}
