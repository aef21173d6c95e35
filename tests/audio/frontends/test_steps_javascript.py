"""The reference for browsers and phones, docs/how-to/spectrogram.js, gives the spectrograms of NumPy."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_steps import RARE, SHARE, frontends

from efficient_sed.audio.frontends.spectrogram import Spectrogram

SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
const { spectrogram } = await import(process.argv[2]);
for (const [name, { header, samples }] of Object.entries(JSON.parse(readFileSync("in.json", "utf8"))))
  writeFileSync(name, spectrogram(header, samples));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_spectrograms_of_numpy(tmp_path: Path) -> None:
    given, expected = {}, {}
    for name, frontend in frontends().items():
        numpy_form = Spectrogram(frontend.steps(), frontend.hop_length, frontend.first_frame_samples)
        sound = np.random.default_rng(0).standard_normal(frontend.min_samples + 9_000) * 0.1
        sound = sound.astype(np.float32)
        expected[name] = numpy_form(sound[None])[0, 0]
        header = {"frontend": numpy_form.to_dict(), "hop_length": frontend.hop_length}
        given[name] = {"header": json.loads(json.dumps(header)), "samples": sound.tolist()}
    (tmp_path / "in.json").write_text(json.dumps(given))
    (tmp_path / "run.mjs").write_text(SCRIPT)
    module = (Path(__file__).parents[3] / "docs" / "how-to" / "spectrogram.js").as_uri()
    subprocess.run(["node", "run.mjs", module], cwd=tmp_path, check=True, timeout=60)
    for name, values in expected.items():
        found = np.fromfile(tmp_path / name, np.float32).reshape(values.shape)
        differences = np.abs(found - values) / max(1.0, float(np.ptp(values)))
        assert np.quantile(differences, 0.998) <= SHARE, name
        assert differences.max() <= RARE, name
