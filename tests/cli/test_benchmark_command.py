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


def test_results(run: Run, tmp_path: Path) -> None:
    typed = "benchmark mn01 fmn01 --results costs --device cpu --threads 1 --clock cpu"
    status, out, _ = run(f"{typed} --budget 0.001s")
    (path,) = (tmp_path / "costs").iterdir()
    assert status == 0
    assert out.splitlines() == [
        f"costs/{path.name}: 1 models, 1 of them new",
        "no time for 1, the cheapest first: fmn01",
        "the same command goes on with them",
    ]
    assert run(typed)[1] == f"costs/{path.name}: 2 models, 1 of them new\n"
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["model"], second["model"]) == ("mn01", "fmn01")
    assert (first["params"], first["weights"], first["mode"], first["clock"]) == ("113463", "random", "fused", "cpu")
    assert 0 < int(first["activations_peak"]) < int(first["activations"])
    before = path.read_bytes()
    assert run(typed)[1] == f"costs/{path.name}: 2 models, 0 of them new\n"
    assert path.read_bytes() == before
