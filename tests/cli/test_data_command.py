"""`efficient-sed data check`."""

from __future__ import annotations

import re
from pathlib import Path

from command import TSV, Run
from damage import spoiled_flac

from efficient_sed.data.events import Splits


def test_data_check(run: Run, tiny_data: Splits) -> None:
    status, out, err = run("data check {tiny}")
    assert (status, err) == (0, "")
    assert f"manifest hash {tiny_data.manifest_hash}; unreadable files: 0" in out
    assert "8 clips" in out
    assert "data.clip_seconds=3 suits these events" in out
    for label in tiny_data.classes:
        total = [
            sum(event.label == label for clip in part for event in clip.events)
            for part in (tiny_data.train, tiny_data.validation, tiny_data.test)
        ]
        line = next(line for line in out.splitlines() if re.search(rf"\b{label}\b", line))
        assert [int(number) for number in re.findall(r"\d+", line)] == total


def test_data_check_names_what_is_damaged(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    cut = Path(here["d"]) / "cut" / "cut.flac"
    cut.parent.mkdir()
    cut.write_bytes(spoiled_flac(1.0))
    (tmp_path / "cut.tsv").write_text(TSV + "cut/cut.flac\t0.1\t0.3\tdog\n")
    status, out, err = run(f"data check {{own}} data.validation={tmp_path}/cut.tsv")
    assert status == 1
    assert "unreadable files: 1" in out
    assert err.startswith(f"efficient-sed: {cut}: damaged audio")
    assert err.count("\n") == 1


def test_a_manifest_replaces_nothing_else(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("filename\tonset\toffset\tevent_label\n")
    status, out, err = run(f"data check data=synthetic --manifest {path}")
    assert (status, out, err) == (
        2,
        "",
        f"efficient-sed: --manifest {path}: cannot be written "
        "(another file is there already; give another name, or delete it)\n",
    )
    assert path.read_text().startswith("filename")
