"""`efficient-sed benchmark`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from command import Run


def test_benchmark(run: Run, tmp_path: Path) -> None:
    status, out, err = run("benchmark {model} --csv costs.csv --batch 1")
    assert (status, err) == (0, "")
    assert "What it costs" in out
    status, out, _ = run("benchmark fmn04 --csv costs.csv --json --batch 1")
    (record,) = json.loads(out)
    assert round(record["complexity"]["macs_by_part"]["backbone"] / 1e6, 1) == 181.1
    with (tmp_path / "costs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"].rpartition("/")[2] for row in rows] == ["model.safetensors", "fmn04"]
    assert rows[1]["params"] == str(record["complexity"]["params"])
