// The sound, its cursor over the tracks, and keys. A page has `state.view`, `state.duration` and `drawView()`.

const ROUNDING = 1e-6; // seconds

function seek(seconds) {
  at("sound").currentTime = Math.min(Math.max(0, seconds), state.duration);
  showPosition();
}

// Moves the cursor, and the view with it; there is none while a recording goes on.
function showPosition() {
  at("cursor").hidden = Boolean(state.isLive);
  if (state.isLive) return;
  const now = Math.min(at("sound").currentTime, state.duration);
  const { start, length } = state.view;
  if (now < start - ROUNDING || now > start + length + ROUNDING) {
    state.view.start = Math.min(Math.max(0, now - length / 10), state.duration - length);
    drawView();
    return;
  }
  at("cursor").style.left = `${(100 * (now - start)) / length}%`;
}

function followSound() {
  showPosition();
  if (!at("sound").paused) requestAnimationFrame(followSound);
}

function timeAt(event) {
  if (event.target.tagName === "INPUT") return null;
  const box = at("over").getBoundingClientRect();
  const share = (event.clientX - box.left) / box.width;
  return share >= 0 && share <= 1 ? state.view.start + share * state.view.length : null;
}

function seekTo(event) {
  const seconds = timeAt(event);
  if (seconds !== null) seek(seconds);
}

function pressKey(event) {
  const { tagName, type } = event.target;
  if (event.ctrlKey || event.altKey || event.metaKey || type === "search" || at("sound").hidden) return;
  if (event.key === " " && !["AUDIO", "BUTTON", "SELECT"].includes(tagName)) at("sound").paused ? at("sound").play() : at("sound").pause();
  else if (["ArrowLeft", "ArrowRight"].includes(event.key) && !["AUDIO", "SELECT", "INPUT"].includes(tagName)) {
    seek(at("sound").currentTime + (event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 5 : 1));
  } else return;
  event.preventDefault();
}

function listenToSound() {
  at("tracks").onclick = seekTo;
  at("tracks").onpointermove = (event) => { if (event.pointerType === "mouse" && event.buttons === 1) seekTo(event); };
  at("sound").onplay = followSound;
  for (const name of ["timeupdate", "seeking", "seeked"]) at("sound").addEventListener(name, showPosition);
  at("sound").onerror = () => warn("This browser cannot play the sound.");
  document.addEventListener("keydown", pressKey);
  new ResizeObserver(drawView).observe(at("spectrogram"));
}

function warn(text) {
  at("notice").hidden = false;
  at("notice").textContent = text;
}
