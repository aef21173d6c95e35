// Shows what a report stores about one recording.

function describePage() {
  openRecording(DATA.name, DATA.duration);
  at("name").textContent = document.title;
  const parts = [`${formatTime(DATA.duration, DATA.duration >= 60)}${DATA.duration >= 60 ? " min" : ""}`];
  if (DATA.model) parts.push(`model ${DATA.model}, ${DATA.numClasses} ${DATA.numClasses === 1 ? "class" : "classes"}`);
  at("about").textContent = `${parts.join(", ")}. Written by efficient_sed ${DATA.version}, ${DATA.created}.`;
  at("warning").hidden = !DATA.warning;
  at("warning").textContent = DATA.warning;
}

async function start() {
  describePage();
  prepareView();
  at("sound").src = URL.createObjectURL(new Blob([unpack(DATA.sound)], { type: "audio/mpeg" }));
  setPainted(paintSpectrogram(await inflate(DATA.spectrogram.levels), DATA.spectrogram));
  const found = toClasses(await inflate(DATA.scores), DATA.classes);
  for (const group of found) group.threshold = DATA.thresholds[group.rank];
  setScores(found);
  drawView();
}

start().catch((error) => warn(`This browser cannot show the page; take one of 2024 or newer. (${error.message})`));
