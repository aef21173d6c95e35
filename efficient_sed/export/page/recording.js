// Decodes files by the browser, and makes a file from samples.

import { readRate } from "./headers.js";

const USUAL_RATE = 48000;

/**
 * Decodes a file at its own rate: {channels, rate, duration}, and `note` where the browser resampled it.
 * @param {File} file
 */
export async function decodeFile(file) {
  const encoded = await file.arrayBuffer();
  const rate = readRate(encoded);
  let [context, note] = [null, ""];
  try {
    context = new OfflineAudioContext(1, 1, rate ?? USUAL_RATE);
  } catch {
    context = null; // a rate that browsers do not take
  }
  if (!rate || !context) {
    note = "The browser resampled it: events may differ a little from those of efficient-sed detect.";
    context ??= new OfflineAudioContext(1, 1, USUAL_RATE);
  }
  const decoded = await context.decodeAudioData(encoded);
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, index) => decoded.getChannelData(index));
  return { channels, rate: decoded.sampleRate, duration: decoded.length / decoded.sampleRate, note };
}

/** A WAV file of one channel. @param {Int16Array[]} blocks Its samples. */
export function encodeWave(blocks, rate) {
  const size = 2 * blocks.reduce((sum, block) => sum + block.length, 0);
  const header = new DataView(new ArrayBuffer(44));
  const write = (place, text) => [...text].forEach((letter, k) => header.setUint8(place + k, letter.charCodeAt(0)));
  const words = [[4, 36 + size], [16, 16], [24, rate], [28, 2 * rate], [40, size]];
  const halves = [[20, 1], [22, 1], [32, 2], [34, 16]]; // PCM, channels, bytes of a frame, bits
  for (const [place, text] of [[0, "RIFF"], [8, "WAVE"], [12, "fmt "], [36, "data"]]) write(place, text);
  for (const [place, value] of words) header.setUint32(place, value, true);
  for (const [place, value] of halves) header.setUint16(place, value, true);
  return new Blob([header, ...blocks], { type: "audio/wav" });
}
