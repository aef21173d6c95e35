// Scales, ticks, Pareto front: nothing here touches the page.

const UNITS = [[1e9, " G"], [1e6, " M"], [1e3, " k"]];

function formatValue(value) {
  const [factor, unit] = UNITS.find(([limit]) => Math.abs(value) >= limit) ?? [1, ""];
  return String(Number((value / factor).toPrecision(4))) + unit;
}

// Maps [low, high] to pixels [start, end], with room beside the outermost values.
function makeScale(values, isLog, start, end, padding) {
  const forward = isLog ? Math.log10 : (value) => value;
  const inner = values.map(forward);
  let low = inner.length ? Math.min(...inner) : 0;
  let high = inner.length ? Math.max(...inner) : 1;
  const room = (high - low) * padding || (isLog ? 0.3 : Math.abs(high) * 0.1 || 0.1);
  low -= room;
  high += room;
  const toPixel = (value) => start + ((forward(value) - low) / (high - low)) * (end - start);
  return { toPixel, ticks: isLog ? logTicks(low, high, Math.abs(end - start)) : linearTicks(low, high, Math.abs(end - start)), start, end };
}

function linearTicks(low, high, pixels) {
  const rough = (high - low) / Math.max(2, pixels / 75);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let index = Math.ceil(low / step); index * step <= high; index++) ticks.push(Number((index * step).toPrecision(10)));
  return ticks;
}

function logTicks(low, high, pixels) {
  const steps = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3], [1]];
  const all = steps.map((factors) => {
    const ticks = [];
    for (let power = Math.floor(low); power <= high; power++) {
      for (const factor of factors) {
        const tick = factor * 10 ** power;
        if (Math.log10(tick) >= low && Math.log10(tick) <= high) ticks.push(Number(tick.toPrecision(10)));
      }
    }
    return ticks;
  });
  return all.find((ticks) => ticks.length >= 2 && ticks.length <= pixels / 60) ?? all.filter((ticks) => ticks.length >= 2).at(-1) ?? all[0];
}

// Points {x, y} that no other is better than, by ascending x; equal points are all kept.
function paretoFront(points, xIsHigherBetter, yIsHigherBetter) {
  const xSign = xIsHigherBetter ? 1 : -1;
  const ySign = yIsHigherBetter ? 1 : -1;
  const sorted = [...points].sort((a, b) => xSign * (b.x - a.x) || ySign * (b.y - a.y));
  const front = [];
  for (const point of sorted) {
    const last = front.at(-1);
    if (!last || ySign * (point.y - last.y) > 0 || (point.x === last.x && point.y === last.y)) front.push(point);
  }
  return front.sort((a, b) => a.x - b.x || a.y - b.y);
}

// Corners of the staircase along a front, in pixels; between two points it passes the worst of both.
function staircase(front, xScale, yScale, xIsHigherBetter) {
  const corners = [];
  front.forEach((point, index) => {
    const next = front[index + 1];
    corners.push([xScale.toPixel(point.x), yScale.toPixel(point.y)]);
    if (next) corners.push(xIsHigherBetter ? [xScale.toPixel(point.x), yScale.toPixel(next.y)] : [xScale.toPixel(next.x), yScale.toPixel(point.y)]);
  });
  return corners;
}

// The staircase, closed towards where things are worse: what the front dominates.
function dominatedArea(corners, xScale, yScale, xIsHigherBetter, yIsHigherBetter) {
  if (!corners.length) return [];
  const worstX = xIsHigherBetter ? xScale.start : xScale.end;
  const worstY = yIsHigherBetter ? yScale.start : yScale.end;
  const first = corners[0];
  const last = corners.at(-1);
  return xIsHigherBetter ? [[worstX, worstY], [worstX, first[1]], ...corners, [last[0], worstY]] : [[first[0], worstY], ...corners, [worstX, last[1]], [worstX, worstY]];
}

function polygonArea(corners) {
  const doubled = corners.reduce((sum, [x, y], index) => {
    const [nextX, nextY] = corners[(index + 1) % corners.length];
    return sum + x * nextY - nextX * y;
  }, 0);
  return Math.abs(doubled) / 2;
}
