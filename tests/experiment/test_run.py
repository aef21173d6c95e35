"""One run from configuration to result.json."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml

import efficient_sed as es
from efficient_sed.benchmark.macs_notes import explain_macs
from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.config.values import to_dict
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import CheckpointError, ConfigError, DataError
from efficient_sed.experiment import run as runner
from efficient_sed.experiment.checks import warn_of_mistakes
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.folders import run_folder, signature
from efficient_sed.experiment.measure import benchmark_model, needs_evaluation, tune_run
from efficient_sed.experiment.result_file import read_result
from efficient_sed.experiment.run import run_experiment
from efficient_sed.experiment.score import score_part
from efficient_sed.experiment.tune import tune_part
from efficient_sed.frontier.points import run_points
from efficient_sed.frontier.runs import read_results
from efficient_sed.metrics.psds.clips import PsdsClips
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

QUICK = BenchmarkConfig(seconds=1.0, repeats=3)


class Finished(NamedTuple):
    config: RunConfig
    folder: Path
    result: dict[str, Any]


@pytest.fixture(scope="module")
def finished(tiny_config: SyntheticConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    train = TrainConfig(epochs=1, batch_size=4, accelerator="cpu")
    output = str(tmp_path_factory.mktemp("runs"))
    config = RunConfig(
        BACKBONES.get("fmn04")(),
        SEQUENCE_HEADS.get("gru")(hidden=16),
        replace(tiny_config, clip_seconds=3.0),
        train,
        benchmark=QUICK,
        seed=3,
        output_dir=output,
    )
    return Finished(config, run_folder(config), run_experiment(config, show_progress=False))


def test_a_result_says_where_it_came_from(finished: Finished, tiny_data: Splits) -> None:
    result = json.loads((finished.folder / "result.json").read_text())
    assert result == finished.result == read_result(finished.folder)
    assert (result["model"], result["backbone"], result["head"], result["hidden"], result["seed"]) == (
        "fmn04+gru-16",
        "fmn04",
        "gru",
        16,
        3,
    )
    assert from_dict(RunConfig, result["config"]) == finished.config
    assert result["signature"] == signature(finished.config)
    assert result["data"]["manifest_hash"] == tiny_data.manifest_hash
    assert result["data"]["clips"] == {"train": 8, "validation": 4, "test": 4}
    environment = result["environment"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(es.__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    assert environment["commit"].removesuffix("+changes") == (head or "unknown")
    assert {"python", "torch", "numpy", "numba"} <= environment["versions"].keys()
    assert environment["device"]
    assert result["training"]["device"]
    metrics = result["metrics"]
    assert metrics["coverage"] == {"clips_expected": 4, "clips_scored": 4, "unreadable": []}
    assert (
        metrics["variant"].items()
        >= {
            "metric": "psds1",
            "back_end": "exact",
            "median_frames": 1,
            "alpha_st": 1.0,
            "num_classes": len(metrics["per_class"]),
        }.items()
    )


def test_what_lies_behind_the_score_is_kept(finished: Finished) -> None:
    metrics = finished.result["metrics"]
    low, high = metrics["psds1_macro_ci95"]
    assert 0 <= low <= high <= 1
    assert metrics["bootstrap"] == {"replicates": 1000, "seed": 0}
    clips = PsdsClips.load(finished.folder / "psds_clips.npz")
    assert (len(clips.clip_ids), dict(clips.variant)) == (4, metrics["variant"])
    assert clips.macro() == pytest.approx(metrics["psds1_macro"], abs=1e-12)
    assert (finished.folder / "psd_roc.png").stat().st_size > 1000
    assert (finished.folder / "psds_clips.npz").stat().st_mtime_ns <= (
        finished.folder / "result.json"
    ).stat().st_mtime_ns


def test_a_result_says_what_the_model_costs(finished: Finished) -> None:
    complexity, model = finished.result["complexity"], es.load_model(str(finished.folder / "model.safetensors"))
    assert complexity["params"] == sum(parameter.numel() for parameter in model.parameters())
    assert complexity["macs"] == es.count_macs(model, 1.0).total
    assert complexity["macs_note"] == explain_macs(
        model, es.count_macs(model, 1.0), complexity["macs_deepspeed"], complexity["macs_published"]
    )
    assert complexity["throughput"]["clips_per_s"] > 0
    assert (
        complexity["throughput"]["batch_size"],
        complexity["throughput"]["precision"],
        complexity["repeats"],
        complexity["seconds"],
    ) == (4, "fp32", 3, 1.0)
    assert complexity["latency"]["batch_size"] == 1
    assert complexity["peak_memory_mb"] > 10


def test_the_model_file_says_it_too(finished: Finished, tiny_data: Splits) -> None:
    model = es.load_model(str(finished.folder / "model.safetensors"))
    assert (model.provenance.clip_seconds, model.provenance.median_frames) == (3, 1)
    assert model.provenance.notes["signature"] == signature(finished.config)
    assert model.provenance.notes["manifest_hash"] == tiny_data.manifest_hash
    assert model.provenance.notes["commit"] == finished.result["environment"]["commit"]
    assert score_part(model, tiny_data, finished.config, "test") == finished.result["metrics"]


def test_the_effective_configuration_is_saved(finished: Finished) -> None:
    assert from_dict(RunConfig, yaml.safe_load((finished.folder / "config.yaml").read_text())) == finished.config


def test_the_frontier_reads_it(finished: Finished) -> None:
    (point,) = run_points(read_results([finished.folder]))
    assert (point.model, point.family, point.score) == (
        "fmn04+gru-16",
        "gru",
        finished.result["metrics"]["psds1_macro"],
    )


def test_a_finished_run_is_not_repeated(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "fit", refuse_training)
    before = (finished.folder / "result.json").stat().st_mtime_ns
    assert run_experiment(finished.config, show_progress=False) == finished.result
    elsewhere = replace(finished.config, logger="tensorboard", data=replace(finished.config.data, num_workers=3))
    assert run_experiment(elsewhere, show_progress=False) == finished.result
    assert (finished.folder / "result.json").stat().st_mtime_ns == before
    with pytest.raises(AssertionError, match="trained again"):
        run_experiment(replace(finished.config, seed=4), show_progress=False)


def refuse_training(*_: Any, **__: Any) -> None:
    raise AssertionError("trained again")


@pytest.fixture
def copied(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """The finished run in another folder of runs, where nothing may be trained."""
    monkeypatch.setattr(runner, "fit", refuse_training)
    config = replace(finished.config, output_dir=str(tmp_path / "runs"))
    folder = shutil.copytree(finished.folder, tmp_path / "runs" / finished.folder.name)
    return Finished(config, folder, finished.result)


def test_other_options_of_the_evaluation_score_the_kept_model(copied: Finished) -> None:
    evaluation = EvaluationConfig(dtc=0.1, gtc=0.1, alpha_st=0.0)
    result = run_experiment(replace(copied.config, evaluation=evaluation), show_progress=False)
    assert result == read_result(copied.folder)
    assert (result["metrics"]["variant"]["dtc"], copied.result["metrics"]["variant"]["dtc"]) == (0.1, 0.7)
    assert result["config"]["evaluation"] == result["measured"]["evaluation"]["options"] == to_dict(evaluation)
    assert result["training"] == copied.result["training"]  # with the options that chose the epoch
    assert result["training"]["evaluation"] == to_dict(EvaluationConfig())
    assert result["measured"]["evaluation"]["created"] >= copied.result["measured"]["evaluation"]["created"]
    assert result["complexity"] == copied.result["complexity"]
    back = run_experiment(copied.config, show_progress=False)
    assert back["metrics"] == copied.result["metrics"]


def test_post_processing_is_tuned_on_validation_and_travels(finished: Finished, tiny_data: Splits) -> None:
    tuning, metrics = finished.result["tuning"], finished.result["metrics"]
    assert (tuning["for"], tuning["part"], tuning["data"], tuning["clips"]) == ("psds1", "validation", "synthetic", 4)
    assert tuning["manifest_hash"] == tiny_data.manifest_hash
    model = es.load_model(str(finished.folder / "model.safetensors"))
    assert model.provenance.postprocessing == tuning["postprocessing"]
    own = Postprocessing.of(model.provenance.postprocessing, 1, len(model.classes), model.grid.hop_s)
    assert own.notes["manifest_hash"] == tiny_data.manifest_hash
    for part in ("scores", "events"):
        gain = metrics["gain_of_tuning"][part]
        assert gain["untuned"] == pytest.approx(metrics[gain["metric"]], abs=1e-12)
        assert gain["tuned"] == pytest.approx(metrics[f"{gain['metric']}_tuned"], abs=1e-12)


def test_scores_on_what_was_tuned_on_are_warned_of(
    finished: Finished, tiny_data: Splits, caplog: pytest.LogCaptureFixture
) -> None:
    model = es.load_model(str(finished.folder / "model.safetensors"))
    score_part(model, tiny_data, finished.config, "test")
    assert "too good" not in caplog.text
    score_part(model, tiny_data, finished.config, "validation")
    assert "the validation part of data=synthetic is what the post-processing was tuned on" in caplog.text


def test_an_engine_scores_as_pytorch_does(finished: Finished, tiny_data: Splits) -> None:
    """It only measures: a finished run is scored again with another one, and not trained again."""
    model = es.load_model(str(finished.folder / "model.safetensors"))
    engine = replace(finished.config.evaluation, engine="onnxruntime")
    config = replace(finished.config, evaluation=engine)
    assert run_folder(config) == finished.folder
    assert needs_evaluation(finished.result, config)
    scored, before = score_part(model, tiny_data, config, "test"), finished.result["metrics"]
    assert before["engine"] == f"torch {torch.__version__}"
    assert finished.result["tuning"]["engine"] == before["engine"]
    assert scored["engine"] == f"onnxruntime {version('onnxruntime')}"
    assert scored["psds1_macro"] == pytest.approx(before["psds1_macro"], abs=1e-3)
    assert scored["coverage"] == before["coverage"]


def test_nothing_is_tuned_on_the_test_part(finished: Finished, tiny_data: Splits) -> None:
    """Some data sets, as AudioSet, choose the best epoch on it."""
    model = es.load_model(str(finished.folder / "model.safetensors"))
    splits = replace(tiny_data, validation=tiny_data.test)
    report = tune_run(model, splits, finished.config, model)
    assert report is not None
    assert "its validation part is its test part" in report["missing"]
    assert not model.provenance.postprocessing
    with pytest.raises(DataError, match=r"data=synthetic: its validation part is its test part, .* or --part train"):
        tune_part(model, splits, finished.config)


def test_candidates_are_looked_at_before_the_training(tiny_config: SyntheticConfig) -> None:
    evaluation = EvaluationConfig(event_postprocessing=("medain",))
    config = RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), tiny_config, evaluation=evaluation)
    with pytest.raises(ConfigError, match="unknown post-processing method 'medain'"):
        run_experiment(config, show_progress=False)


def test_other_tuning_leaves_the_training(copied: Finished) -> None:
    none = run_experiment(replace(copied.config, evaluation=EvaluationConfig(tune="none")), show_progress=False)
    assert none["tuning"] is None
    assert not [key for key in none["metrics"] if "tun" in key]
    model = es.load_model(str(copied.folder / "model.safetensors"))
    assert not model.provenance.postprocessing
    kept = [key for key in copied.result["metrics"] if "tun" not in key]
    assert {key: none["metrics"][key] for key in kept} == {key: copied.result["metrics"][key] for key in kept}
    back = run_experiment(copied.config, show_progress=False)
    assert back["tuning"] == copied.result["tuning"]
    assert back["metrics"] == copied.result["metrics"]


def test_other_options_of_the_benchmark_measure_the_kept_model(copied: Finished) -> None:
    benchmark = replace(QUICK, seconds=2.0, batches=(1,))
    result = run_experiment(replace(copied.config, benchmark=benchmark), show_progress=False)
    assert result == read_result(copied.folder)
    complexity = result["complexity"]
    assert (complexity["seconds"], complexity["throughput"]["batch_size"]) == (2.0, 1)
    assert complexity["macs"] > copied.result["complexity"]["macs"]
    assert result["config"]["benchmark"] == result["measured"]["benchmark"]["options"] == to_dict(benchmark)
    assert result["metrics"] == copied.result["metrics"]
    assert result["measured"]["evaluation"] == copied.result["measured"]["evaluation"]


def test_data_that_were_moved_find_their_run(copied: Finished, tmp_path: Path) -> None:
    root = shutil.copytree(copied.config.data.root, tmp_path / "moved")  # type: ignore[attr-defined]
    config = replace(copied.config, data=replace(copied.config.data, root=str(root)))  # type: ignore[call-arg]
    assert run_folder(config) == copied.folder
    assert run_experiment(config, show_progress=False) == copied.result


def test_a_folder_of_an_earlier_version_is_found(copied: Finished) -> None:
    """Its signature covered everything, and had ten digits."""
    digits = copied.result["signature"]
    earlier = copied.folder.rename(copied.folder.with_name(copied.folder.name.replace(digits, "0123456789")))
    old = copy.deepcopy(copied.result) | {"signature": "0123456789"}
    del old["measured"], old["training"]["evaluation"], old["config"]["benchmark"]["with_mel"]
    (earlier / "result.json").write_text(json.dumps(old))
    assert run_folder(copied.config) == earlier
    assert run_experiment(copied.config, show_progress=False)["signature"] == "0123456789"
    again = run_experiment(replace(copied.config, evaluation=EvaluationConfig(dtc=0.2)), show_progress=False)
    assert again["metrics"]["variant"]["dtc"] == 0.2
    assert [path.name for path in earlier.parent.iterdir()] == [earlier.name]
    assert run_folder(replace(copied.config, seed=4)) != earlier
    assert run_folder(copied.config, HASH) != earlier  # other data


def test_of_several_folders_of_an_earlier_version_the_one_measured_alike_is_taken(copied: Finished) -> None:
    digits = copied.result["signature"]
    for number, dtc in enumerate((0.5, 0.7, 0.9)):
        other = shutil.copytree(
            copied.folder, copied.folder.with_name(copied.folder.name.replace(digits, str(number) * 10))
        )
        config = replace(copied.config, evaluation=EvaluationConfig(dtc=dtc))
        (other / "config.yaml").write_text(yaml.safe_dump(to_dict(config)))
    shutil.rmtree(copied.folder)
    assert run_folder(copied.config).name.endswith("1" * 10)
    assert run_folder(replace(copied.config, evaluation=EvaluationConfig(dtc=0.9))).name.endswith("2" * 10)
    assert run_folder(replace(copied.config, evaluation=EvaluationConfig(dtc=0.3))).name.endswith("0" * 10)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 1000)], ids=["gone", "cut"])
def test_the_model_of_a_finished_run_is_written_again(
    finished: Finished, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    config = replace(finished.config, output_dir=str(tmp_path))
    folder = shutil.copytree(finished.folder, run_folder(config))
    path = folder / "model.safetensors"
    before = path.read_bytes()
    damage(path)
    with caplog.at_level("WARNING"):
        assert run_experiment(config, show_progress=False) == finished.result
    assert path.read_bytes() == before
    assert any(
        message.startswith(f"{path}: ") and message.endswith("; it was written again from best.ckpt")
        for message in caplog.messages
    )
    damage(path)
    (folder / "best.ckpt").unlink()
    with pytest.raises(
        CheckpointError,
        match=rf"^{re.escape(str(path))}: .*; put a copy of it back, or delete {re.escape(str(folder))}, and the "
        rf"run is trained anew$",
    ):
        run_experiment(config, show_progress=False)


BASE, HASH = ("backbone=fmn04", "seq=tf", "seq.hidden=64"), "0" * 16


@pytest.mark.parametrize(
    "extra",
    [
        "output_dir=x",
        "logger=wandb",
        "data.num_workers=7",
        "data.root=x",
        "train.accelerator=cpu",
        "train.devices=4",
        "data=synthetic",
        "evaluation.dtc=0.5",
        "evaluation.back_end=psds_eval",
        "benchmark.seconds=5",
        "benchmark.device=cpu",
    ],
)
def test_signature_ignores_where_how_and_what_is_measured(extra: str) -> None:
    assert signature(compose_run([*BASE, extra]), HASH) == signature(compose_run(BASE), HASH)


@pytest.mark.parametrize(
    "extra",
    [
        *(
            "seed=1",
            "train.lr_head=0.1",
            "seq.hidden=128",
            "seq=gru",
            "backbone=fmn06",
            "backbone.init=x.pt",
            "task=tagging",
        ),
        *(
            "train.accumulate=2",
            "train.sampler=balanced",
            "train.draws_per_epoch=9",
            "train.select=last",
            "train.augment.time_mask_max=0.1",
        ),
        *(
            "train.augment.mixup_alpha=0.3",
            "data.seed=1",
            "data.median_frames=3",
            "data.pseudo_labels=x",
            "data=folder",
        ),
    ],
)
def test_signature_follows_what_decides_a_training(extra: str) -> None:
    assert signature(compose_run([*BASE, extra]), HASH) != signature(compose_run(BASE), HASH)


def test_signature_follows_content() -> None:
    own = compose_run([*BASE, "data=folder", "data.root=here"])
    assert signature(own, HASH) == signature(compose_run([*BASE, "data=folder", "data.root=elsewhere"]), HASH)
    assert signature(own, HASH) != signature(own, "1" * 16)


def test_folders_are_one_per_signature() -> None:
    config = compose_run([*BASE, "output_dir=here"])
    assert run_folder(config, HASH) == Path(f"here/fmn04+tf-64_synthetic_seed0_{signature(config, HASH)}")
    assert signature(from_dict(RunConfig, to_dict(config)), HASH) == signature(config, HASH)


@pytest.mark.parametrize(
    "content",
    ['{"model": "fmn04", ', "", "[]", "{}", '{"metrics": {}}'],
    ids=["cut", "empty", "list", "nothing in it", "no score"],
)
def test_damaged_results_are_named(tiny_config: SyntheticConfig, tmp_path: Path, content: str) -> None:
    config = RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), tiny_config, output_dir=str(tmp_path))
    path = run_folder(config) / "result.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        run_experiment(config, show_progress=False)
    assert str(caught.value).startswith(f"{path}: damaged (")
    assert str(caught.value).endswith("; delete the file and start the run again")
    assert "\n" not in str(caught.value)
    assert path.read_text() == content


def test_output_that_cannot_be_written(tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = RunConfig(
        BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), tiny_config, output_dir=str(tmp_path / "file" / "runs")
    )
    with pytest.raises(
        DataError,
        match=r"^output_dir=.*/file/runs: cannot be written \(.*\); give a writable folder as output_dir=DIR$",
    ):
        run_experiment(config, show_progress=False)


def test_benchmark_of_names_and_files(finished: Finished) -> None:
    by_file = benchmark_model(str(finished.folder / "model.safetensors"), QUICK)
    assert by_file["complexity"]["params"] == finished.result["complexity"]["params"]
    by_name = benchmark_model("fmn04+gru-16", QUICK)
    assert by_name["model"] == "fmn04+gru-16"
    assert by_name["complexity"]["params"] - by_file["complexity"]["params"] == 2 * (447 - 16) * (32 + 1)
    assert by_name["environment"]["versions"]["torch"]


def test_classes_that_were_never_heard_are_told(
    tiny_data: Splits, tiny_config: SyntheticConfig, caplog: pytest.LogCaptureFixture
) -> None:
    label = tiny_data.test[0].events[0].label
    deaf = replace(
        tiny_data,
        train=tuple(
            replace(clip, events=tuple(event for event in clip.events if event.label != label))
            for clip in tiny_data.train
        ),
    )
    config = RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), tiny_config)
    model = es.create_model("fmn04", classes=tiny_data.classes)
    told = []
    for splits in (tiny_data, deaf):
        caplog.clear()
        warn_of_mistakes(model, config, splits)
        told.append(
            sum(
                int(message.split(":")[1].split(",")[0])
                for message in caplog.messages
                if "without an event in the training part" in message
            )
        )
    assert told[1] == told[0] + 1
