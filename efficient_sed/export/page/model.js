// The model in onnxruntime-web, by WebAssembly.

const MOST_THREADS = 4;
// A module of one function with an instruction of 128 bits, which is valid where there is SIMD.
const SIMD = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);

/** An error whose message is for the reader of the page. */
export class PageError extends Error {}

async function load(url, integrity, what) {
  try {
    const response = await fetch(url, integrity ? { integrity } : {});
    if (response.ok) return await response.blob();
    throw new Error(`status ${response.status}`);
  } catch (error) {
    throw new PageError(`${what} cannot be loaded from ${url}: missing, out of reach or not the expected file (${error.message}).`);
  }
}

/** Opens the model: {score, threads}. `base` is the page's address, `runtime` {base, script, wasm} with {name, integrity} each. */
export async function openModel(base, runtime, numClasses) {
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(SIMD)) {
    throw new PageError("This browser has no WebAssembly with SIMD, which the model needs; take one of 2023 or newer.");
  }
  const address = (name) => new URL(name, new URL(runtime.base, base)).href;
  const [script, wasm, model] = await Promise.all([
    ...[runtime.script, runtime.wasm].map(({ name, integrity }) => load(address(name), integrity, "The run time")),
    load(new URL("model.onnx", base).href, null, "The model"),
  ]);
  // a blob is imported as what was checked
  const ort = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const threads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
  Object.assign(ort.env.wasm, { wasmBinary: await wasm.arrayBuffer(), numThreads: threads });
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(new Uint8Array(await model.arrayBuffer()), { executionProviders: ["wasm"] });

  /** Scores of a waveform, a column of frames for each class. */
  async function score(waveform) {
    const { frame_scores: scores } = await session.run({ waveform: new ort.Tensor("float32", waveform, [1, waveform.length]) }, ["frame_scores"]);
    const frames = scores.data.length / numClasses;
    if (!scores.data.every(Number.isFinite)) throw new PageError("A score is not a finite number: the sound or the model is damaged.");
    return Array.from({ length: numClasses }, (_, index) => scores.data.slice(index * frames, (index + 1) * frames));
  }
  return { score, threads };
}
