// Runs beside the sound of the microphone: blocks of samples of 16 bits, the mean of all channels.

const BLOCK = 4096;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
  }

  process([channels]) {
    const length = channels[0]?.length ?? 0;
    for (let k = 0; k < length; k++) {
      const mean = channels.reduce((sum, samples) => sum + samples[k], 0) / channels.length;
      this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(mean * 32768)));
      if (this.filled === BLOCK) {
        this.port.postMessage(this.block);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
