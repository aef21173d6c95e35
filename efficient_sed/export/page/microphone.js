// The microphone, as it is: without the noise suppression and gain control that browsers have for speech.

const SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const REASONS = {
  NotAllowedError: "The microphone was denied; allow it for this page beside the address.",
  NotFoundError: "There is no microphone.",
  NotReadableError: "The microphone is in use by another program.",
};

/** Opens it: {rate, close}; `onBlock` is called with Int16Array blocks. Throws an Error for the reader of the page. */
export async function openMicrophone(onBlock) {
  if (!navigator.mediaDevices) throw new Error("Browsers give a microphone only to pages of localhost or https.");
  let stream = null;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: SOUND });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The microphone cannot be opened (${error.message}).`);
  }
  const context = new AudioContext();
  await context.audioWorklet.addModule(new URL("capture.js", import.meta.url));
  const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
  node.port.onmessage = ({ data }) => onBlock(data);
  context.createMediaStreamSource(stream).connect(node);
  async function close() {
    for (const track of stream.getTracks()) track.stop();
    await context.close();
  }
  return { rate: context.sampleRate, close };
}
