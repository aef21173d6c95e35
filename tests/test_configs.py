"""Every shipped preset trains, on data of its own format; the commands in its head are valid; together they are the
published table."""

from __future__ import annotations

import csv
import functools
import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from audioset_files import VIDEOS, mp3_files, write_hdf5, write_segments, write_tables
from dcase2016_files import write_dcase2016
from desed_files import write_desed, write_maestro
from few_labels import write_few_labels
from fold_files import write_esc50, write_ravdess
from sound_files import write_sounds
from tut_files import write_tut
from urbansound8k_files import write_urbansound8k

import efficient_sed as es
from efficient_sed.config.run import RunConfig
from efficient_sed.data.sets.audioset_strong import AudioSetStrongConfig
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.files.packaged import presets, resource_folder
from efficient_sed.frontier.published import read_published_models
from efficient_sed.models.names import model_name
from efficient_sed.sweep.grid import GridPoint, expand_grid
from efficient_sed.training.train import fit

CONFIGS = resource_folder("configs")
FEW = ("data.num_train=8", "data.num_validation=4", "data.num_test=4")
SCENES = (*FEW, "data.scene_seconds=3", "data.clip_seconds=3")


@pytest.fixture(scope="module")
def audioset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine clips in the published HDF5 files, with pseudo-labels, a clip-level teacher and an initial backbone.

    Beside them a few recordings as HEAR, TUT-SED Synthetic 2016, UrbanSound8K, ESC-50, RAVDESS, DESED and MAESTRO Real
    lay them out, and isolated sounds.
    """
    root = tmp_path_factory.mktemp("audioset")
    files = mp3_files()
    write_dcase2016(root / "hear", seconds=4.0)
    write_tut(root / "tut")
    write_urbansound8k(root / "urbansound8k")
    write_esc50(root / "esc50")
    write_ravdess(root / "ravdess")
    write_desed(root / "desed")
    write_maestro(root / "maestro")
    write_sounds(root / "sounds")
    write_hdf5(root, files)
    write_tables(root)
    write_segments(root)
    rng = np.random.default_rng(0)
    with h5py.File(root / "pseudo.hdf5", "w") as file:
        file["filenames"] = np.array([f"Y{video}.mp3" for video in VIDEOS], dtype="S")
        file["strong_logits"] = rng.normal(-4, 1, (len(VIDEOS), 447, 250)).astype(np.float16)
    np.save(root / "clip_teacher.npy", rng.normal(-4, 1, (len(VIDEOS), 527)).astype(np.float32))
    (root / "index.pkl").write_bytes(pickle.dumps({video: row for row, video in enumerate(VIDEOS)}))
    es.save_model(es.create_model("fmn04", num_classes=2), root / "start.safetensors")
    es.save_model(es.create_model("fmn04", num_classes=447), root / "teacher.safetensors")
    return root


def small(name: str, audioset: Path, scenes: Path) -> RunConfig:
    """A preset with few short clips, the smallest backbone and two steps; all else is its own."""
    config = compose_run([f"experiment={name}"])
    typed = [
        f"experiment={name}",
        "data.num_workers=0",
        "train.accelerator=cpu",
        "train.epochs=1",
        "train.validate_every=1",
    ]
    typed += ["train.batch_size=2", f"train.draws_per_epoch={4 * config.train.accumulate}"]
    if config.train.precision == "16-mixed":
        typed.append("train.precision=bf16-mixed")  # float16 needs a GPU
    if config.backbone.name == "crnn_dws":  # small enough
        roots = {
            "synthetic": [*SCENES, f"data.root={scenes}"],
            "tut_sed_synthetic_2016": [f"data.root={audioset / 'tut'}"],
        }
        return compose_run(
            [*typed, *roots.get(config.data.name, [f"data.root={audioset / 'urbansound8k'}"]), "data.clip_seconds=1"]
        )
    if name.startswith("dcase202"):  # one or two clips of each subset
        assert config.train.batch_clips
        clips = dict.fromkeys(config.train.batch_clips, 1) | {"weak": 2}
        typed += [f"train.batch_clips={str(clips).replace(chr(39), '')}", f"train.batch_size={sum(clips.values())}"]
        typed += [f"train.draws_per_epoch={2 * sum(clips.values())}", f"data.root={audioset / 'desed'}"]
        typed += [
            "data.clip_seconds=1",
            "backbone.init=null",
            *(["backbone=fmn04"] if config.backbone.name == "fmn10" else []),
        ]
        return compose_run(typed + ([f"data.maestro_root={audioset / 'maestro'}"] if "maestro" in clips else []))
    if config.data.name in ("esc50", "ravdess"):
        return compose_run(
            [
                *typed,
                "backbone.width=1",
                f"data.root={audioset / config.data.name}",
                "data.clip_seconds=1",
                "train.crop_seconds=1",
            ]
        )
    if config.backbone.name == "erann" or name.startswith("dcls"):
        smallest = "backbone.width=1" if config.backbone.name == "erann" else "backbone=fmn04_dcls"
        few = ["train.accumulate=1", "train.draws_per_epoch=4"]
        return compose_run([*typed, smallest, *few, f"data.root={audioset}", "data.layout=hdf5", "data.clip_seconds=2"])
    typed.append("backbone=fmn04")
    if config.train.mean_teacher:
        few = scenes.with_name("few_labels")
        if not few.exists():
            write_few_labels(few, compose_run([*SCENES, f"data.root={scenes}"]).data.load())
        shares = "train.batch_clips={strong: 1, unlabelled: 1}"
        return compose_run([*typed, "data=folder", f"data.root={few}", "data.clip_seconds=3", shares])
    sounds = (f"data.foreground={audioset / 'sounds'}", "data.clip_seconds=2")
    mixed = {"synthetic": SCENES, "soundscapes": (*FEW, *sounds)}
    if config.data.name in mixed:
        return compose_run([*typed, *mixed[config.data.name], f"data.root={scenes}"])
    if config.data.name == "dcase2016_task2":
        return compose_run(
            [
                *typed,
                f"backbone.init={audioset / 'start.safetensors'}",
                f"data.root={audioset / 'hear'}",
                "data.clip_seconds=2",
            ]
        )
    if config.data.pseudo_labels:
        typed.append(f"data.pseudo_labels={audioset / 'pseudo.hdf5'}")
    if config.train.batch_clips:
        typed += ["train.batch_clips={strong: 1, weak: 1}"]
        typed += [f"data.weak_root={audioset}", f"train.teacher={audioset / 'teacher.safetensors'}"]
    if config.data.clip_teacher:
        typed += [
            f"data.clip_teacher={audioset / 'clip_teacher.npy'}",
            f"data.clip_teacher_index={audioset / 'index.pkl'}",
        ]
    return compose_run(
        [
            *typed,
            f"backbone.init={audioset / 'start.safetensors'}",
            f"data.root={audioset}",
            "data.layout=hdf5",
            "data.clip_seconds=2",
        ]
    )


def test_every_file_is_a_preset_that_is_tested() -> None:
    files = sorted(path.relative_to(CONFIGS) for path in CONFIGS.rglob("*") if path.is_file())
    assert {path.suffix for path in files} == {".yaml"}
    assert {path.parent.name for path in files} <= {"experiment", "sweep", "data"}  # test_compose has those of data
    assert sorted(path.stem for path in files if path.parent.name == "experiment") == presets("experiment")
    assert sorted(path.stem for path in files if path.parent.name == "sweep") == presets("sweep")
    assert (len(presets("experiment")), len(presets("sweep"))) >= (17, 3)


ALIKE = ("audioset_strong_warmup20000", "dcase2023_task4", "dcls_convformer", "erann_esc50", "figure1", "figure2",
         "prinzivalle_polyphonic", "scratch", "table1_fmn10", "table1_fmn10_no_kd",
         "table1_fmn10_tf256_frozen", "table1_fmn10_tf256_no_kd", "table2_fmn10_tf256_weak_extended")  # fmt: skip
"""Presets that differ in numbers from another one, which is trained on every occasion."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in ALIKE else name for name in presets("experiment")]
)
@pytest.mark.slow
def test_presets_train(name: str, audioset: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = small(name, audioset, tmp_path_factory.getbasetemp() / "scenes")
    splits = config.data.load()
    _, facts = fit(config, splits, tmp_path, show_progress=False)
    assert facts["steps"] == 2
    assert facts["num_with_teacher"] == (
        len(splits.train) if config.data.pseudo_labels or config.data.clip_teacher or config.train.teacher else 0
    )
    num_weak = {"dcase2023": 17, "dcase2024": 17, "table2": 5, "mean": 2}.get(name.split("_", maxsplit=1)[0], 0)
    assert facts["clips_by_subset"].get("weak", 0) == num_weak
    with (tmp_path / "metrics.csv").open() as file:
        (loss,) = [float(row["train/loss_epoch"]) for row in csv.DictReader(file) if row["train/loss_epoch"]]
    assert 0 < loss < 5


def typed_commands() -> Iterator[tuple[str, str]]:
    for name in presets("experiment"):
        text = (CONFIGS / "experiment" / f"{name}.yaml").read_text()
        for command in re.findall(r"^#   efficient-sed (?:sweep|train) (.+)$", text, flags=re.MULTILINE):
            yield name, command


BATCHES = {"dcase2023": (48,), "dcase2024": (60,), "dcls": (4096,), "dnd": (16,), "erann": (32,), "mean": (16,),
           "prinzivalle": (16,), "tiny": (8,)}  # fmt: skip


@functools.cache
def expand(command: str) -> list[GridPoint]:
    return expand_grid(
        [override for override in command.split() if not override.startswith("seeds=")]
    )  # seeds only repeat


@pytest.mark.parametrize(("name", "command"), list(typed_commands()))
def test_commands_in_the_heads_are_valid(name: str, command: str) -> None:
    points = expand(command)
    assert {f"experiment={name}", f"sweep={name}"} & {
        *command.split(),
        *(override for point in points for override in point.overrides),
    }
    assert all(
        point.config.train.batch_size * point.config.train.accumulate
        in BATCHES.get(name.split("_", maxsplit=1)[0], (256, 120))
        for point in points
    )


@pytest.mark.parametrize(
    ("grid", "table", "prefix", "count"),
    [
        ("dnd_table1", "dnd_sed_table1", "", 26),
        ("erann_audioset", "erann_audioset", "", 8),
        ("prinzivalle_polyphonic", "prinzivalle_2021", "prinzivalle-", 5),
        ("prinzivalle_monophonic", "prinzivalle_2021", "prinzivalle-mono-", 2),
    ],
)
def test_grids_are_the_rows_of_published_tables(grid: str, table: str, prefix: str, count: int) -> None:
    names = [model_name(point.config).removeprefix(prefix) for point in expand(f"sweep={grid}")]
    assert len(names) == count
    published = [
        row.model.removeprefix("proposed_")
        for row in read_published_models(table)
        if row.data.startswith("UrbanSound8K") == ("mono" in grid)
    ]
    assert names == published


def test_a_typed_key_takes_the_place_of_the_grid_s() -> None:
    (first, second) = expand_grid(["sweep=dnd_table1", "model=dnd-dws,dnd-dnd-k3-d1", "train.epochs=3"])
    assert (model_name(first.config), model_name(second.config)) == ("dnd-dws", "dnd-dnd-k3-d1")
    assert first.config.train == compose_run(["experiment=dnd", "train.epochs=3"]).train
    with pytest.raises(ConfigError, match=r"^unknown grid sweep=dnd_table; did you mean 'dnd_table1'\?"):
        expand_grid(["sweep=dnd_table"])


@pytest.mark.parametrize("name", ["dnd", "prinzivalle_polyphonic", "prinzivalle_monophonic"])
def test_the_published_recipe_of_dnd_sed(name: str) -> None:
    config = compose_run([f"experiment={name}"])
    train, augment = config.train, config.train.augment
    assert (train.batch_size, train.lr_backbone, train.lr_head, train.layer_decay, train.weight_decay) == (
        16,
        1e-3,
        1e-3,
        1.0,
        0.0,
    )
    assert (train.warmup_steps, train.final_lr_ratio, train.select, train.patience) == (0, 1.0, "lowest_loss", 30)
    assert (
        augment.wave_mix_probability == augment.mixup_probability == augment.time_roll_sigma == augment.mel_jitter == 0
    )
    assert config.data.median_frames == 1
    grid = config.backbone.build_frontend().grid(1)
    assert (
        grid.num_frames(round(config.data.clip_seconds * grid.sample_rate))
        == {"dnd": 1000, "prinzivalle_polyphonic": 1024, "prinzivalle_monophonic": 172}[name]
    )
    assert config.has_single_labels == name.endswith("monophonic")


def test_the_published_recipe_of_erann() -> None:
    config = compose_run(["experiment=erann", "model=erann-8x4-5", "task=tagging", "data=synthetic"])
    train, augment = config.train, config.train.augment
    assert (model_name(config), config.task, config.data.name, train.crop_seconds) == (
        "erann-8x4-5",
        "tagging",
        "synthetic",
        8.0,
    )
    assert (
        train.batch_size * train.accumulate,
        train.lr_backbone,
        train.lr_head,
        train.layer_decay,
        train.weight_decay,
    ) == (32, 1e-3, 1e-3, 1.0, 0.0)
    assert (train.schedule, train.ema_decay, train.sampler, train.optimizer) == ("one_cycle", 0.999, "balanced", None)
    assert (augment.wave_mix_probability, augment.wave_mix_alpha, augment.wave_mix_loudness) == (1.0, 1.0, True)
    assert augment.mixup_probability == augment.time_roll_sigma == augment.mel_jitter == augment.speed_change == 0
    assert [point.config.train.crop_seconds for point in expand("sweep=erann_audioset")] == [8] * 6 + [4, 10]


def published_rows() -> list[dict[str, str]]:
    with (resource_folder("published") / "efficientsed_audioset_strong.csv").open() as file:
        return [row for row in csv.DictReader(file) if "advanced" not in row["checkpoint"]]


def test_the_grids_are_the_published_rows() -> None:
    """Figures 1 and 2 by model and learning rates; where the head's rate is not published, the whole grid it was chosen
    from is run."""
    points = {}
    for name, command in typed_commands():
        if name in ("figure1", "figure2"):
            for point in expand(command):
                points.setdefault(model_name(point.config), set()).add(
                    (point.config.train.lr_backbone, point.config.train.lr_head)
                )
    expected = {}
    for row in published_rows():
        model = row["backbone"] + (f"+{row['head']}-{row['hidden']}" if row["head"] != "none" else "")
        rate = float(row["lr_backbone"])
        heads = [float(row["lr_head"])] if row["lr_head"] else [rate] if row["head"] == "none" else [5e-4, 8e-4, 3e-3]
        expected[model] = {(rate, head) for head in heads}
    assert points == expected
    assert len(points) == 41


@pytest.mark.parametrize(
    "name", [name for name in presets("experiment") if name.startswith(("audioset_strong", "table1", "figure"))]
)
def test_the_published_recipe(name: str) -> None:
    """Facts on the released models' training that no preset of it may change."""
    config = compose_run([f"experiment={name}"])
    train, augment = config.train, config.train.augment
    assert (config.backbone.name, config.backbone.init, config.data.name, config.task) == (
        "fmn10",
        "weak",
        "audioset_strong",
        "detection",
    )
    assert (train.epochs, train.draws_per_epoch, train.batch_size, train.accumulate, train.sampler) == (
        120,
        100_000,
        64,
        4,
        "uniform",
    )
    assert (train.precision, train.layer_decay, train.distillation_weight, train.select) == (
        "16-mixed",
        0.9,
        0.9,
        "last",
    )
    real = compose_run(
        [
            *("experiment=dcase2023_task4", "data.has_strong_real=true"),
            "train.batch_clips={synthetic: 9, strong_real: 3, weak: 12, unlabelled: 24}",
        ]
    )
    assert real.train.batch_clips == {"synthetic": 9, "strong_real": 3, "weak": 12, "unlabelled": 24}
    assert train.warmup_steps == (20_000 if "20000" in name else 5_000)
    assert (train.lr_backbone, train.lr_head) == ((1e-4, 1e-4) if "no_kd" in name else (3e-3, 3e-3))
    assert (config.data.pseudo_labels is None) == ("no_kd" in name)
    assert train.is_backbone_frozen == ("frozen" in name)
    assert config.data.median_frames == 9
    assert (
        augment.wave_mix_probability,
        augment.wave_mix_alpha,
        augment.time_roll_sigma,
        augment.mixup_probability,
        augment.mixup_alpha,
    ) == (0.5, 2.0, 0.125, 0.3, 0.2)
    assert (
        augment.mixstyle_probability
        == augment.filter_probability
        == augment.freq_warp_probability
        == augment.time_mask_max
        == 0
    )


def test_the_published_recipe_of_dcase2016() -> None:
    config = compose_run(["experiment=dcase2016_task2"])
    train, augment = config.train, config.train.augment
    assert (config.data.name, config.has_event_scores, config.data.clip_seconds, config.backbone.init) == (
        "dcase2016_task2",
        True,
        10,
        "strong",
    )
    assert (
        train.epochs,
        train.batch_size,
        train.accumulate,
        train.warmup_steps,
        train.select,
        train.validate_every,
    ) == (300, 256, 1, 100, "last", 5)
    assert (train.lr_backbone, train.lr_head, train.weight_decay, train.layer_decay, train.final_lr_ratio) == (
        1.06e-4,
        1.06e-4,
        1e-3,
        1.0,
        0.0,
    )
    assert (
        augment.wave_mix_probability,
        augment.wave_mix_alpha,
        augment.mixup_probability,
        augment.time_roll_sigma,
    ) == (0.5, 0.2, 0.5, 0.0)


def test_the_recipes_of_dcase_task_4() -> None:
    """Numbers of the baselines' configurations; the network is theirs to the parameter (tests/models/test_crnn_glu)."""
    config = compose_run(["experiment=dcase2023_task4_crnn"])
    train = config.train
    assert (model_name(config), config.classifier.pooling, config.data.median_frames) == (
        "crnn_glu+gru-128",
        "attention",
        7,
    )
    assert (train.epochs, train.ramp_up_epochs, train.lr_backbone, train.lr_head) == (200, 50, 1e-3, 1e-3)
    assert (train.mean_teacher, train.mean_teacher_decay, train.consistency_weight) == (True, 0.999, 2.0)
    assert train.batch_clips == {"synthetic": 12, "weak": 12, "unlabelled": 24}
    assert (train.augment.mixup_probability, train.augment.weak_mixup_probability) == (0.5, 0.5)
    assert train.warmup_steps == train.ramp_up_epochs * ((1578 - 158) // 12)
    later = compose_run(["experiment=dcase2024_task4"])
    assert (later.train.epochs, later.train.gradient_clip, later.data.name) == (300, 5.0, "desed_maestro")
    assert later.train.batch_clips == {"maestro": 12, "synthetic": 6, "strong_real": 6, "weak": 12, "unlabelled": 24}


@pytest.mark.parametrize(
    ("name", "epochs", "score"),
    [("table2_fmn10_tf256_weak", 120, "44.70"), ("table2_fmn10_tf256_weak_extended", 240, "45.25")],
)
def test_table_2(name: str, epochs: int, score: str) -> None:
    """Its first row with weak clips and an online teacher, and nothing else."""
    config, first = compose_run([f"experiment={name}"]), compose_run(["experiment=table1_fmn10_tf256"])
    assert isinstance(config.data, AudioSetStrongConfig)
    shares = {"strong": 32, "weak": 32}
    train = replace(first.train, teacher=config.train.teacher, batch_clips=shares, epochs=epochs)
    assert config == replace(
        first, data=replace(first.data, pseudo_labels=None, weak_root=config.data.weak_root), train=train
    )
    assert (
        train.batch_size,
        train.augment.weak_mixup_probability,
        train.augment.weak_mixup_alpha,
    ) == (64, 1.0, 0.3)
    assert f"Published PSDS1 {score}" in (CONFIGS / "experiment" / f"{name}.yaml").read_text()


def test_what_is_on_by_default_is_published() -> None:
    assert compose_run([]).train.augment == compose_run(["experiment=audioset_strong"]).train.augment
