"""What is said of a file, and what is left out where everything is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from efficient_sed.benchmark.clock import Pace
from efficient_sed.cli.exported_tables import precisions_table
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.precisions import decoding_beside
from efficient_sed.export.compared import Comparison, Deployed, judge
from efficient_sed.export.plan import Attempts


def deployed(
    precision: str, clips_per_s: float, score: float, megabytes: float, engine: str = "fast 1", path: str | None = None
) -> Deployed:
    pace = Pace(clips_per_s, (clips_per_s, clips_per_s), 1e3 / clips_per_s, 1e3 / clips_per_s)
    name = None if path is None else Path(path)
    return Deployed("onnx", precision, engine, name, round(1e6 * megabytes), score, 0.25, pace, 12.0, 34.0)


EXACT = deployed("fp32", 77, 0.180, 5)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            deployed("int8", 57, 0.120, 3.8),
            "does not pay here, of use only where files must be small: slower (57.0 against 77.0 clips/s); "
            "scores less (0.120 against 0.180 PSDS1); 1.2 MB smaller",
        ),
        (
            deployed("int8", 57, 0.120, 5.5),
            "of no use here, float32 is better: slower (57.0 against 77.0 clips/s); "
            "scores less (0.120 against 0.180 PSDS1); 0.5 MB larger",
        ),
        (
            deployed("int8", 99, 0.1805, 2.5),
            "pays here in fast 1: faster (99.0 against 77.0 clips/s); "
            "scores the same (0.180 against 0.180 PSDS1); 2.5 MB smaller",
        ),
        (deployed("int8", 99, 0.150, 2.5), "pays here in fast 1 where its lower score is good enough: faster"),
        (deployed("fp16", 76, 0.180, 3), "smaller, and no faster, here: as fast as float32"),
        (deployed("int8", 76, 0.160, 3), "does not pay here, of use only where files must be small: as fast"),
        (deployed("int8", 90, 0.190, 3), "pays here in fast 1: faster (90.0 against 77.0 clips/s); scores more"),
        (deployed("fp32", 50, 0.180, 5, "slow 1"), "float32 for slow 1: slower"),
        (EXACT, "float32, fastest in fast 1 (77.0 clips/s)"),
    ],
)
def test_no_file_is_praised_that_does_not_pay(row: Deployed, words: str) -> None:
    assert judge(row, EXACT, "PSDS1").startswith(words)


def test_a_file_is_judged_where_it_is_fastest() -> None:
    rows = [
        deployed("fp32", 77, 0.18, 5),
        deployed("fp32", 70, 0.18, 5, "slow 1"),
        deployed("int8", 57, 0.18, 3, "fast 1", "d.int8.onnx"),
        deployed("int8", 97, 0.18, 3, "slow 1", "d.int8.onnx"),
    ]
    comparison = Comparison("mine", "PSDS1", "synthetic, test part", 1, rows, ["litert: no"])
    assert comparison.paths == [Path("d.int8.onnx")]
    (verdict,) = comparison.verdicts()
    assert verdict.startswith("wrote d.int8.onnx: pays here in slow 1: faster (97.0 against 77.0 clips/s)")
    assert [column.header for column in precisions_table(comparison).columns][3:6] == ["PSDS1", "change", "event F1"]


def test_what_rounds_is_no_reference() -> None:
    rows = [deployed("fp32", 77, 0.18, 5, path="d.fp32.onnx"), deployed("fp32", 99, 0.17, 5, "bf16", "d.fp32.onnx")]
    comparison = Comparison("mine", "PSDS1", "data", 1, [rows[0], rows[1]._replace(is_exact=False)], [])
    assert comparison.reference == rows[0]
    (verdict,) = comparison.verdicts()
    assert verdict.startswith("wrote d.fp32.onnx: float32 for bf16: faster (99.0 against 77.0 clips/s); scores less")


def test_nothing_is_forked_beside_engines_that_forbid_it() -> None:
    config = compose_run(["data.num_workers=2"])
    assert decoding_beside(config, ["onnxruntime"]) == config
    assert decoding_beside(config, ["onnxruntime", "openvino"]) == compose_run(["data.num_workers=0"])


def test_failures_are_noted_only_where_all_is_asked_for() -> None:
    attempts = Attempts(is_noted=True)
    with attempts.of("litert gru"):
        raise CheckpointError("no recurrent layers")
    assert attempts.notes == ["litert gru: no recurrent layers"]
    with pytest.raises(ConfigError, match=r"^nothing$"), Attempts(is_noted=False).of("x"):
        raise ConfigError("nothing")
    with pytest.raises(ZeroDivisionError), attempts.of("a fault of ours"):
        _ = 1 / 0
