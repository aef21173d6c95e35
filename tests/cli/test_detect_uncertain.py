"""`efficient-sed detect --uncertain`: around the loop, from doubts to a table that is trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from command import Run

from efficient_sed.cli.main import main
from efficient_sed.data.annotations.reading import read_annotations
from efficient_sed.registry import ANNOTATION_FORMATS


def test_around_the_loop(run: Run, tmp_path: Path) -> None:
    command = "detect {d}/a.wav {d}/b.wav --model {model} --threshold 0.5 --uncertain 2"
    status, out, err = run(command)
    assert (status, err) == (0, "")
    assert ("why" in out, out.count("the threshold 0.5")) == (True, 2)
    clips = f"{command} --clips new/audio/round1 --format audacity --output new/labels/round1"
    assert run(clips) == (0, "", "")
    names = {"a_0.00s", "b_0.00s"}
    assert {path.stem for path in Path("new/labels/round1").iterdir()} == names
    assert {soundfile.info(path).frames for path in Path("new/audio/round1").iterdir()} == {12_000}
    status, _, err = run(clips)
    assert status == 2
    assert "a_0.00s.txt: is there already, perhaps corrected; give another name, or --overwrite" in err
    assert run(f"{clips} --overwrite").status == 0
    (tmp_path / "new/labels/round1/a_0.00s.txt").write_text("0.1\t0.3\tdog\n")
    (tmp_path / "new/labels/round1/b_0.00s.txt").write_text("")  # there was nothing
    assert main(["data", "convert", "new/labels", "new/train/round1.tsv", "--audio", "new/audio"]) == 0
    events = read_annotations(Path("new/train")).events
    assert {name: [event[:3] for event in own] for name, own in events.items()} == {
        "round1/a_0.00s.flac": [(0.1, 0.3, "dog")],
        "round1/b_0.00s.flac": [],
    }


@pytest.mark.parametrize("name", ANNOTATION_FORMATS.names())
def test_every_format(run: Run, name: str) -> None:
    chosen = ANNOTATION_FORMATS.get(name)()
    target = f"doubts{chosen.ending}" if chosen.holds_many else "doubts"
    command = "detect {d}/a.wav {d}/b.wav --model {model} --threshold 0.5 --uncertain 2"
    assert run(f"{command} --format {name} --output {target}") == (0, "", "")
    events = read_annotations(Path(target)).events
    assert sorted(len(own) for own in events.values()) == [1, 1]
