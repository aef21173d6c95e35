// Scores recordings away from the page, which stays responsive. Messages are {kind, …}; those about a recording carry
// its job, and a new job ends the one before.

import { openModel, PageError } from "./model.js";
import { readPart, resample, toMono } from "./samples.js";
import { checkScores, createSound } from "./self_test.js";
import { loadChain, smooth } from "./smooth.js";
import { Spectrogram } from "./spectrogram.js";
import { Stream } from "./stream.js";
import { cutWindows, joinWindows } from "./windows.js";

const BLOCK_S = 30; // of sound that is drawn at once
const LIVE_POOL = 2; // frames of 10 ms in a column
const LIVE_S = 20; // that are seen
const MAX_COLUMNS = 4000;
let settings = null;
let model = null;
let applyChain = null;
let opened = null; // promise of these
let current = 0; // job
let live = null; // {push, close} of sound that is still going on

const pause = () => new Promise((done) => { setTimeout(done); }); // in which a new job may come

async function open(base) {
  [model, applyChain] = await Promise.all([
    openModel(base, settings.runtime, settings.grid.numClasses), loadChain(settings.chain, settings.grid.hop),
  ]);
  checkScores(await model.score(createSound(settings.selfTest.samples)), settings.selfTest);
  postMessage({ kind: "ready", threads: model.threads });
}

// Scores of smoothed frames go out as they come, with the seconds that were scored and that it took.
async function give(job, pieces, extent, clock) {
  for await (const piece of smooth(pieces, applyChain, extent)) {
    if (job !== current) return;
    postMessage({ kind: "scores", job, ...piece, ...clock });
  }
  postMessage({ kind: "done", job, ...clock });
}

async function timed(clock, waveform) {
  const started = performance.now();
  const scores = await model.score(waveform);
  clock.computing += (performance.now() - started) / 1000;
  return scores;
}

async function scoreFile({ job, channels, rate, duration }) {
  await opened;
  const { grid, picture, fileExtent } = settings;
  const mono = toMono(channels);
  const clock = { scored: 0, computing: 0 };
  const spectrogram = new Spectrogram(picture, Math.max(1, Math.ceil((duration * picture.sampleRate) / picture.hopLength / MAX_COLUMNS)));
  for (let start = 0; start < duration; start += BLOCK_S) {
    spectrogram.push(readPart(mono, rate, picture.sampleRate, start, Math.min(BLOCK_S, duration - start)));
    await pause();
    if (job !== current) return;
  }
  spectrogram.finish();
  postMessage({ kind: "spectrogram", job, ...spectrogram.draw() });
  const length = Math.round(grid.windowSeconds * grid.sampleRate);
  async function* scoreWindows() {
    for (const window of cutWindows(duration, grid)) {
      const waveform = new Float32Array(length); // a short one is padded with zeros
      waveform.set(readPart(mono, rate, grid.sampleRate, window.start, grid.windowSeconds).subarray(0, length));
      const scores = await timed(clock, waveform);
      clock.scored = Math.min(window.start + grid.windowSeconds, duration);
      yield { window, scores };
      await pause();
      if (job !== current) return;
    }
  }
  await give(job, joinWindows(scoreWindows()), fileExtent, clock);
}

// A queue that is read by `for await` until it is closed.
function makeQueue() {
  const waiting = [];
  let [isClosed, wake] = [false, () => {}];
  return {
    push(item) { waiting.push(item); wake(); },
    close() { isClosed = true; wake(); },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (waiting.length) yield waiting.shift();
        if (isClosed) return;
        await new Promise((done) => { wake = done; });
      }
    },
  };
}

async function scoreLive({ job, rate }) {
  const clock = { scored: 0, computing: 0 };
  const queue = makeQueue();
  live = queue;
  await opened;
  const spectrogram = new Spectrogram(settings.picture, LIVE_POOL);
  const onSound = (sound) => spectrogram.push(resample(sound, settings.grid.sampleRate, settings.picture.sampleRate));
  const stream = new Stream(settings.grid, rate, (waveform) => timed(clock, waveform), onSound);
  const show = (begin, group) => postMessage({ kind: "spectrogram", job, ...spectrogram.draw(begin, group) });
  async function* scores() {
    for await (const samples of queue) {
      for await (const columns of stream.push(Float32Array.from(samples, (sample) => sample / 32768))) {
        clock.scored = stream.seconds;
        show(Math.max(0, spectrogram.columns.length - LIVE_S / spectrogram.columnSeconds));
        yield columns;
      }
    }
    clock.scored = stream.seconds; // before the last scores go out, which reach to the end
    yield* stream.finish();
    spectrogram.finish();
    if (spectrogram.columns.length) show(0, Math.ceil(spectrogram.columns.length / MAX_COLUMNS));
  }
  await give(job, scores(), settings.liveExtent, clock);
}

const HANDLERS = {
  open(data) {
    settings = data.settings;
    opened = open(data.base);
    return opened;
  },
  file: scoreFile,
  live: scoreLive,
  sound: ({ samples }) => live?.push(samples),
  finish: () => live?.close(),
};

self.onmessage = ({ data }) => {
  if (data.kind === "file" || data.kind === "live") {
    current = data.job;
    live?.close();
    live = null;
  }
  Promise.resolve(HANDLERS[data.kind](data)).catch((error) => {
    const text = error instanceof PageError ? error.message : `The recording cannot be scored (${error.message}).`;
    postMessage({ kind: "error", job: data.job, text });
  });
};
