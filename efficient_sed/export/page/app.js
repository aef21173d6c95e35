// What the reader does, and what comes of it. Shared scripts of the project's pages, which are no modules, draw.
/* global DATA, at, decode, drawView, openRecording, paintSpectrogram, prepareView, setPainted, setScores, state, warn */

import { openMicrophone } from "./microphone.js";
import { decodeFile, encodeWave } from "./recording.js";
import { ScoreTable } from "./scores.js";

const LIVE_S = 20; // that are seen
const MOST_LIVE_S = 3600;
const table = new ScoreTable(DATA.labels, DATA.ranks, DATA.thresholds);
let job = 0; // of the recording that is shown
let threads = 0; // of the model, once it is loaded
let microphone = null; // {rate, close, blocks, seconds} while it is open

function startWorker() {
  // a worker of a blob keeps the page's security policy
  const source = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
  worker.onmessage = ({ data }) => { if (data.job === undefined || data.job === job) HANDLERS[data.kind](data); };
  worker.onerror = (event) => fail(`This browser cannot run the page; take one of 2024 or newer. (${event.message ?? "a script of the page cannot be loaded"})`);
  worker.postMessage({ kind: "open", base: document.baseURI, settings: DATA.settings });
  return worker;
}

function say(text) {
  at("status").textContent = text;
}

function fail(text) {
  warn(text);
  say("");
  at("progress").hidden = true;
}

function begin(name) {
  job += 1;
  at("notice").hidden = true;
  at("progress").hidden = false;
  at("progress").removeAttribute("value");
  say(`${threads ? "Decoding" : "Loading the model, then"} ${name} …`);
}

// Shows an empty recording, whose scores will come.
function open(name, duration) {
  table.clear();
  setPainted(null);
  Object.assign(DATA, { name });
  document.body.classList.add("opened");
  at("name").textContent = name;
  openRecording(name, duration);
  at("sound").hidden = at("zoom").disabled = Boolean(state.isLive);
  at("save-sound").hidden = true;
}

async function openFile(file) {
  if (microphone) await stopMicrophone();
  begin(file.name);
  const own = job;
  let decoded = null;
  try {
    decoded = await decodeFile(file);
  } catch (error) {
    if (own === job) fail(`${file.name}: this browser cannot decode it (${error.message}); WAV, FLAC, MP3, Ogg and M4A are usual.`);
    return;
  }
  if (own !== job) return;
  state.isLive = false;
  open(file.name, decoded.duration);
  at("sound").src = URL.createObjectURL(file);
  at("note").textContent = decoded.note;
  const { channels, rate, duration } = decoded;
  worker.postMessage({ kind: "file", job, channels, rate, duration }, channels.map((channel) => channel.buffer));
}

async function startMicrophone() {
  begin("the microphone");
  const own = job;
  const blocks = [];
  try {
    microphone = await openMicrophone((samples) => {
      if (!microphone) return;
      blocks.push(samples);
      microphone.seconds += samples.length / microphone.rate;
      worker.postMessage({ kind: "sound", samples });
      if (microphone.seconds >= MOST_LIVE_S) {
        stopMicrophone();
        warn("An hour was recorded, which is the most; save what was found, and start again.");
      }
    });
  } catch (error) {
    if (own === job) fail(error.message);
    return;
  }
  Object.assign(microphone, { blocks, seconds: 0 });
  Object.assign(state, { isLive: true, sort: { key: "onset", isDescending: true } });
  at("microphone").textContent = "Stop";
  at("sound").pause();
  open(`microphone ${new Date().toLocaleString("sv").replaceAll(":", ".")}.wav`, 0);
  at("note").textContent = "";
  say("Listening …");
  worker.postMessage({ kind: "live", job, rate: microphone.rate });
}

async function stopMicrophone() {
  const { blocks, rate, close } = microphone;
  microphone = null;
  at("microphone").textContent = "Use the microphone";
  await close();
  worker.postMessage({ kind: "finish" });
  const sound = URL.createObjectURL(encodeWave(blocks, rate));
  at("sound").src = at("save-sound").href = sound;
  at("save-sound").download = DATA.name;
}

function describePace({ scored, computing }) {
  const pace = computing ? `${(scored / computing).toFixed(scored < 10 * computing ? 1 : 0)} × real time` : "";
  const by = `WebAssembly, ${threads === 1 ? "one thread" : `${threads} threads`}`;
  return `${scored.toFixed(1)} s scored in ${computing.toFixed(1)} s: ${pace}; ${by}`;
}

function redraw() {
  if (document.activeElement?.matches?.("#curves input")) decode(); // rows stay while someone types into one
  else {
    setScores(table.reaching(DATA.lowest));
    drawView();
  }
}

const HANDLERS = {
  ready(data) {
    threads = data.threads;
    if (!job) say("Ready.");
  },
  spectrogram({ levels, shape, numLevels, columnSeconds, start }) {
    DATA.spectrogram = { columnSeconds, start };
    if (shape[1]) setPainted(paintSpectrogram(levels.buffer, { shape, numLevels }));
    if (!state.isLive) redraw();
  },
  scores({ columns, tail, ...clock }) {
    table.append(columns, tail);
    if (state.isLive) {
      const heard = Math.max(clock.scored, state.duration);
      Object.assign(state, { duration: heard, view: { start: Math.max(0, heard - LIVE_S), length: LIVE_S } });
      at("progress").hidden = true;
    } else at("progress").value = clock.scored / state.duration;
    say(describePace(clock));
    redraw();
  },
  done(clock) {
    at("progress").hidden = true;
    if (state.isLive) {
      state.isLive = false;
      openRecording(DATA.name, clock.scored);
      at("sound").hidden = at("zoom").disabled = at("save-sound").hidden = false;
    }
    say(clock.scored ? describePace(clock) : "No sound came.");
    redraw();
  },
  error({ text }) {
    if (microphone) stopMicrophone();
    fail(text);
  },
};

function listenToReader() {
  at("choose").onclick = () => at("file").click();
  at("file").onchange = () => { if (at("file").files.length) openFile(at("file").files[0]); at("file").value = ""; };
  at("microphone").onclick = () => (microphone ? stopMicrophone() : startMicrophone());
  const isOver = (is) => (event) => { event.preventDefault(); document.body.classList.toggle("over", is); };
  Object.assign(document, { ondragover: isOver(true), ondragleave: isOver(false) });
  document.ondrop = (event) => {
    isOver(false)(event);
    if (event.dataTransfer.files.length) openFile(event.dataTransfer.files[0]);
  };
}

at("sound").hidden = true;
prepareView();
listenToReader();
say("Loading the model …");
const worker = startWorker();
