// Spectrogram, event roll and curves over one axis of time; a view {start, length} says which part of it is seen.

const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F3C8D", "#8C6D31"];
const HEAT = [[5, 4, 15], [43, 20, 90], [121, 34, 121], [198, 62, 96], [246, 132, 72], [252, 246, 194]];
const TIME_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
const MAX_POINTS = 1500; // of a curve: more than it has pixels

function heat(share) {
  const place = share * (HEAT.length - 1);
  const index = Math.min(Math.floor(place), HEAT.length - 2);
  return HEAT[index].map((low, channel) => low + (place - index) * (HEAT[index + 1][channel] - low));
}

function paintSpectrogram(buffer, { shape: [numBands, numColumns], numLevels }) {
  const levels = new Uint8Array(buffer);
  const palette = Array.from({ length: numLevels }, (_, level) => heat(level / (numLevels - 1)));
  const canvas = htmlElement("canvas", { width: numColumns, height: numBands });
  const context = canvas.getContext("2d");
  const image = context.createImageData(numColumns, numBands);
  levels.forEach((level, index) => {
    const row = numBands - 1 - Math.floor(index / numColumns);
    image.data.set([...palette[level], 255], 4 * (row * numColumns + (index % numColumns)));
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

function drawSpectrogram(canvas, painted, columnSeconds, view) {
  canvas.width = canvas.clientWidth * devicePixelRatio;
  canvas.height = canvas.clientHeight * devicePixelRatio;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(painted, view.start / columnSeconds, 0, view.length / columnSeconds, painted.height, 0, 0, canvas.width, canvas.height);
}

function drawFrequencies(box, frequencies) {
  box.replaceChildren(...frequencies.map(([hertz, position]) => {
    const mark = htmlElement("span", { textContent: hertz < 1000 ? `${hertz} Hz` : `${hertz / 1000} kHz` });
    mark.style.bottom = `${100 * position}%`;
    return mark;
  }));
}

// 2.5, or 1:05 where a recording has minutes.
function formatTime(seconds, hasMinutes) {
  const plain = Number(seconds.toFixed(2));
  if (!hasMinutes) return `${plain} s`;
  const rest = Number((plain % 60).toFixed(2));
  return `${Math.floor(plain / 60)}:${rest < 10 ? "0" : ""}${rest}`;
}

function drawTimes(box, grid, view, duration) {
  const step = TIME_STEPS.find((each) => each * box.clientWidth >= 62 * view.length) ?? TIME_STEPS.at(-1);
  const first = Math.ceil(view.start / step);
  const count = Math.floor((view.start + view.length) / step + 1e-9) - first + 1;
  const ticks = Array.from({ length: Math.max(0, count) }, (_, index) => (first + index) * step);
  const place = (element, tick) => { element.style.left = `${(100 * (tick - view.start)) / view.length}%`; return element; };
  grid.replaceChildren(...ticks.map((tick) => place(htmlElement("i", {}), tick)));
  box.replaceChildren(...ticks.map((tick) => {
    const share = (tick - view.start) / view.length;
    const mark = place(htmlElement("span", { textContent: formatTime(tick, duration >= 60) }), tick);
    if (share < 0.02) mark.style.transform = "none";
    if (share > 0.97) mark.style.transform = "translateX(-100%)";
    return mark;
  }));
}

function drawTrack(kind, group, note, describe, view, ...shapes) {
  const lane = svgElement("svg", { class: "lane", viewBox: `${view.start} 0 ${view.length} 1`, preserveAspectRatio: "none", role: "img", "aria-label": describe });
  lane.append(...shapes);
  const name = htmlElement("div", { className: "name" }, group.label, " ", htmlElement("small", { textContent: note }));
  const track = htmlElement("div", { className: `track ${kind}` }, name, lane);
  track.style.setProperty("--own", `color-mix(in srgb, ${group.colour}, white var(--tint))`);
  return track;
}

// A row for each class that occurs; opacity shows the score. True events, if they are known, lie above the detected ones.
function drawRoll(box, classes, events, view, truth) {
  const isSeen = ({ onset, offset }) => offset >= view.start && onset <= view.start + view.length;
  const [byLabel, trueByLabel] = [events, truth ?? []].map((some) => Map.groupBy(some, (event) => event.label));
  const rows = classes.filter(({ label }) => byLabel.has(label) || trueByLabel.has(label)).map((group) => {
    const [own, wanted] = [byLabel, trueByLabel].map((some) => some.get(group.label) ?? []);
    const [top, height] = truth ? [0.54, 0.38] : [0.12, 0.76];
    const shapes = [
      ...wanted.filter(isSeen).map((event) => eventBar(event, "truth", 0.08, 0.38, `${group.label}, truth: ${event.onset} to ${event.offset} s`)),
      ...own.filter(isSeen).map((event) => eventBar(event, "found", top, height, `${group.label}: ${event.onset} to ${event.offset} s, ${event.score.toFixed(2)}`)),
    ];
    const count = `${own.length} ${own.length === 1 ? "event" : "events"}`;
    const note = truth ? `${own.length}, truth ${wanted.length}` : `× ${own.length}`;
    return drawTrack("event", group, note, `${group.label}: ${count}${truth ? `, ${wanted.length} in the truth` : ""}`, view, ...shapes);
  });
  box.replaceChildren(...(rows.length ? rows : [htmlElement("p", { className: "soft", textContent: "No events at this threshold." })]));
}

function eventBar({ onset, offset, score }, kind, top, height, title) {
  const opacity = kind === "truth" ? 1 : 0.45 + 0.55 * score;
  const shape = svgElement("rect", { class: kind, x: onset, y: top, width: offset - onset, height, opacity });
  shape.append(svgElement("title", {}, title));
  return shape;
}

function drawCurves(box, classes, hop, view) {
  const rows = classes.map((group) => {
    const line = svgElement("line", { class: "threshold", x1: view.start, x2: view.start + view.length });
    return drawTrack("curve", group, `max ${group.peak.toFixed(2)}`, `${group.label}: highest score ${group.peak.toFixed(2)}`, view, curve(group.scores, hop, view), line);
  });
  box.replaceChildren(...rows);
}

// The highest score of each group of frames, as steps.
function curve(scores, hop, view) {
  const first = Math.max(0, Math.floor(view.start / hop));
  const last = Math.min(scores.length, Math.ceil((view.start + view.length) / hop));
  const size = Math.ceil((last - first) / MAX_POINTS) || 1;
  const steps = [];
  for (let frame = first; frame < last; frame += size) {
    const end = Math.min(frame + size, last);
    steps.push(`V${(1 - scores.subarray(frame, end).reduce((a, b) => Math.max(a, b), 0)).toFixed(4)}H${(end * hop).toFixed(3)}`);
  }
  return svgElement("path", { d: `M${(first * hop).toFixed(3)},1${steps.join("")}V1Z` });
}

// A threshold for each row.
function moveThresholds(box, thresholds) {
  box.querySelectorAll("line.threshold").forEach((line, row) => {
    line.setAttribute("y1", 1 - thresholds[row]);
    line.setAttribute("y2", 1 - thresholds[row]);
  });
}
