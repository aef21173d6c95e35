"""What a user types becomes exactly one valid configuration, or one line that says what to type instead."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
import yaml
from hypothesis import given, strategies

from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.config.values import to_dict
from efficient_sed.errors import ConfigError, printable
from efficient_sed.experiment.compose import compose_run, to_yaml
from efficient_sed.experiment.expand import expand_sweep
from efficient_sed.experiment.text_values import Text, advise, read_text, split_alternatives
from efficient_sed.files.packaged import presets
from efficient_sed.models.names import model_name
from efficient_sed.registry import BACKBONES, DATASETS, SEQUENCE_HEADS


def test_overrides_take_effect() -> None:
    config = compose_run(
        [
            "backbone=fmn04",
            "seq=gru",
            "seq.hidden=64",
            "data=folder",
            "data.root=recordings",
            "data.classes=[b,a]",
            "train.epochs=5",
            "train.augment.mel_jitter=false",
            "seed=3",
        ]
    )
    assert model_name(config) == "fmn04+gru-64"
    assert (config.data.name, config.data.root, config.data.classes) == ("folder", "recordings", ("b", "a"))  # type: ignore[attr-defined]
    assert (config.train.epochs, config.train.augment.mel_jitter, config.seed) == (5, False, 3)


def test_nothing_typed_gives_the_defaults() -> None:
    config = compose_run([])
    assert config == RunConfig(BACKBONES.get("fmn10")(), SEQUENCE_HEADS.get("tf")(), DATASETS.get("synthetic")())
    assert model_name(config) == "fmn10+tf-256"


@pytest.mark.parametrize("name", presets("experiment"))
def test_experiments_compose(name: str) -> None:
    config = compose_run([f"experiment={name}"])
    assert from_dict(RunConfig, to_dict(config)) == config
    assert compose_run([f"experiment={name}", "train.epochs=75"]).train.epochs == 75


def test_pretraining_preset() -> None:
    config = compose_run(["experiment=pretrain_synthetic", "backbone=fmn04"])
    assert (config.task, model_name(config), config.data.stream) == ("tagging", "fmn04", "pretraining")  # type: ignore[attr-defined]


def test_data_presets_compose() -> None:
    for name in presets("data"):
        assert compose_run([f"data={name}"]).data.name in DATASETS.names()


def every_choice() -> list[list[str]]:
    jitter = {
        name: ["train.augment.mel_jitter=false"] for name in BACKBONES.names() if not BACKBONES.get(name).has_mel_jitter
    }
    choices = [
        [f"{group}={name}", *jitter.get(name, [])]
        for group, registry in (("backbone", BACKBONES), ("seq", SEQUENCE_HEADS), ("data", DATASETS))
        for name in registry.names()
    ]
    return [
        *choices,
        [
            "data=folder",
            "data.classes=[dog,cat]",
            "train.precision=bf16-mixed",
            "benchmark.precision=fp16",
            "backbone.init=fmn10_synthetic",
        ],
    ]


@pytest.mark.parametrize("overrides", every_choice(), ids=" ".join)
def test_plain_values_and_back(overrides: list[str]) -> None:
    config = compose_run(overrides)
    values = to_dict(config)
    assert from_dict(RunConfig, values) == config
    assert from_dict(RunConfig, json.loads(json.dumps(values))) == config


BAD = [
    ("seq=tff", r"unknown sequence head seq=tff; did you mean 'tf'\? allowed: .*gru.*"),
    ("seq=tf-256", r"unknown sequence head seq=tf-256; did you mean 'tf'\? .*"),
    (
        "backbone=fmn03",
        r"unknown backbone backbone=fmn03; did you mean 'fmn\d0'\? allowed: \d\d names, such as 'fmn\d0', .*",
    ),
    ("data=foldr", r"unknown data set data=foldr; did you mean 'folder'\? allowed: .*folder, .*synthetic, .*"),
    (
        "experiment=pretrain_syntetic",
        r"unknown preset experiment=pretrain_syntetic; did you mean 'pretrain_synthetic'\? .*",
    ),
    ("trian.epochs=3", r"unknown key trian\.epochs=3; did you mean 'train'\? allowed: .*"),
    ("train.epoch=3", r"unknown key train\.epoch; did you mean 'epochs'\? allowed: .*"),
    ("++train.epoch=3", r"unknown key train\.epoch=3; did you mean 'epochs'\? allowed: .*"),
    ("train.augment.mixup_prob=1", r"unknown key train\.augment\.mixup_prob; did you mean 'mixup_probability'\? .*"),
    ("seq.hiden=64", r"unknown key seq\.hiden; .*did you mean 'hidden'\? .*"),
    (
        "seq=none seq.hidden=64",
        r"unknown key seq\.hidden; the chosen sequence head has no such key \(.*seq=gru, .*seq=tf.* (has|have) it\)",
    ),
    (
        "backbone.widht=2",
        r"unknown key backbone\.widht; no backbone has such a key; did you mean 'width'\? allowed: .*",
    ),
    (
        "data=folder data.num_train=3",
        r"unknown key data\.num_train; .* has no such key \(data=soundscapes, data=synthetic have it\)",
    ),
    ("hydra.run.dir=x", r"unknown key hydra\.run\.dir=x; .*"),
    (
        "seq.hidden=250",
        r"seq\.hidden=250 is not allowed: it must be divisible by 2 \* seq\.num_heads = 16 .*; nearest: 256",
    ),
    ("seq.num_heads=0", r"seq\.num_heads=0 is not allowed: 1 to 256"),
    ("seq=gru seq.hidden=0", r"seq\.hidden=0 is not allowed: 1 to 8192"),
    ("seq=tf,gru", r"seq=tf,gru: a list of alternatives is for `sweep`; a run takes one value"),
    ("seq.hidden=64,128", r"seq\.hidden=64,128: a list of alternatives is for `sweep`; a run takes one value"),
    ("seq=[tf,gru]", r"unknown sequence head seq=\['tf', 'gru'\]; .*"),
    ("train.epochs=[1,2]", r"train\.epochs=\[1, 2\] must be a whole number"),
    ("train.epochs=abc", r"train\.epochs='abc' must be a whole number"),
    ("train.epochs=1.5", r"train\.epochs=1\.5 must be a whole number"),
    ("train.epochs=true", r"train\.epochs=True must be a whole number"),
    ("train.epochs=", r"train\.epochs='' must be a whole number"),
    ("train.epochs=0", r"train\.epochs=0 is not allowed: 1 to 1000000"),
    ("train.epochs", r"'train\.epochs' is not key=value"),
    ("seq==tf", r"unknown sequence head seq==tf; did you mean 'tf'\? .*"),
    ("seq=it's", r"unknown sequence head seq=it's; .*"),
    ("task=${a}", r"task='\$\{a\}' is not allowed; .*"),
    ("train.epochs=${seed}", r"train\.epochs='\$\{seed\}' must be a whole number"),
    ("benchmark.batches=[1,2", r"benchmark\.batches='\[1,2' must be a list, such as \[a,b\]"),
    ("data=folder data.root=", r"data\.root= is not allowed: it is empty; give data\.root=VALUE, or leave it out"),
    ("data.root=\udcff", r"data\.root=\\udcff: not UTF-8 text, which results are; rename it, .*"),
    ("epochs=5", r"unknown key epochs=5; did you mean train\.epochs=5\?"),
    ("batch_size=8", r"unknown key batch_size=8; did you mean benchmark\.batch_size=8 or train\.batch_size=8\?"),
    ("mixup_alpha=1", r"unknown key mixup_alpha=1; did you mean train\.augment\.mixup_alpha=1\?"),
    ("train.hidden=64", r"unknown key train\.hidden; did you mean seq\.hidden\?"),
    ("tr[ain=1", r"tr\[ain=: not a key; .*"),
    ("~seq=tf", r"seq is missing: give seq=VALUE"),
    ("train=3", r"train=3 must be a group of keys: epochs, .*"),
    ("train.lr_head=fast", r"train\.lr_head='fast' must be a finite number"),
    ("train.lr_head=nan", r"train\.lr_head=nan must be a finite number"),
    ("data.scene_seconds=inf", r"data\.scene_seconds=inf must be a finite number"),
    ("train.augment.mel_jitter=1", r"train\.augment\.mel_jitter=1 must be true or false"),
    ("train.precision=fp16", r"train\.precision='fp16' is not allowed; allowed: 16-mixed, 32-true, bf16-mixed"),
    ("task=tag", r"task='tag' is not allowed; did you mean 'tagging'\? allowed: detection, tagging"),
    ("seed=-1", r"seed=-1 is not allowed: 0 to 4294967295"),
    ("train.weight_decay=-0.1", r"train\.weight_decay=-0\.1 is not allowed: 0 or more"),
    (
        "experiment=finetune train.init_from=own.pt",
        r"train\.init_from=own\.pt is not allowed: not beside backbone\.init=synthetic; give backbone\.init=null "
        r"to start from the whole model",
    ),
    (
        "train.is_backbone_frozen=true",
        r"train\.is_backbone_frozen=true is not allowed: only with backbone\.init=NAME, else .*",
    ),
    (
        "train.optimizer=adam train.weight_decay=0.1",
        r"train\.weight_decay=0\.1 is not allowed: 0 with train\.optimizer=adam; give train\.optimizer=adamw",
    ),
    ("train.optimizer=sgd", r"train\.optimizer='sgd' is not allowed; allowed: adam, adamw, lamb"),
    ("train.schedule=linear", r"train\.schedule='linear' is not allowed; .*cosine, one_cycle"),
    ("train.ema_decay=1", r"train\.ema_decay=1\.0 is not allowed: 0 to below 1"),
    ("train.devices=3", r"train\.devices=3 is not allowed: a divisor of train\.batch_size=32, which they share"),
    (
        "train.optimizer=lamb train.strategy=deepspeed_stage_2",
        r"train\.optimizer=lamb is not allowed: adam or adamw with train\.strategy=deepspeed_stage_2, .*",
    ),
    (
        "train.precision=bf16-mixed train.strategy=deepspeed_stage_2",
        r"train\.precision=bf16-mixed is not allowed: 32-true with train\.strategy=deepspeed_stage_2, .*",
    ),
    (
        "train.ema_decay=0.9 train.strategy=deepspeed_stage_2",
        r"train\.ema_decay=0\.9 is not allowed: 0 with train\.strategy=deepspeed_stage_2, .*",
    ),
    ("task=tagging train.label_smoothing=1", r"train\.label_smoothing=1\.0 is not allowed: 0 to below 1"),
    ("train.activity_balance=1.5", r"train\.activity_balance=1\.5 is not allowed: 0 to 1"),
    ("task=tagging train.activity_balance=0.5", r"train\.activity_balance=0\.5 is not allowed: 0 with task=tagging"),
    ("train.label_smoothing=0.1", r"train\.label_smoothing=0\.1 is not allowed: 0 with task=detection"),
    (
        "train.crop_seconds=0.5",
        r"train\.crop_seconds=0\.5 is not allowed: 1 or more seconds, or null for data\.clip_seconds",
    ),
    (
        "train.augment.speed_change=0.6",
        r"train\.augment\.speed_change=0\.6 is not allowed: 0 to 0\.5 in steps of 0\.05",
    ),
    (
        "train.augment.pitch_shift=-0.1",
        r"train\.augment\.pitch_shift=-0\.1 is not allowed: 0 to 0\.5 in steps of 0\.05",
    ),
    (
        "train.augment.speed_change=0.02",
        r"train\.augment\.speed_change=0\.02 is not allowed: 0 to 0\.5 in steps of 0\.05",
    ),
    (
        "train.augment.wave_mix_loudness=true train.augment.wave_mix_probability=0",
        r"train\.augment\.wave_mix_loudness=true is not allowed: false with .*",
    ),
    (
        "backbone=fmn04_dcls train.strategy=deepspeed_stage_2",
        r"train\.strategy=deepspeed_stage_2 is not allowed: ddp with backbone=fmn04_dcls, .*",
    ),
    (
        "backbone=erann1 train.augment.mel_jitter=false train.augment.time_mask_max=0.2",
        r"train\.augment\.time_mask_max=0\.2 is not allowed: 0 with backbone=erann1, .*",
    ),
    ("train.augment.spec_masks=0", r"train\.augment\.spec_masks=0 is not allowed: 1 or more; .*"),
    ("train.augment.spec_mask_bins=-1", r"train\.augment\.spec_mask_bins=-1 is not allowed: 0 or more"),
    ("train.accumulate=0", r"train\.accumulate=0 is not allowed: 1 to 1000000"),
    ("train.draws_per_epoch=0", r"train\.draws_per_epoch=0 is not allowed: 1 or more, or null for one pass"),
    (
        "train.sampler=balance",
        r"train\.sampler='balance' is not allowed; did you mean 'balanced'\? allowed: balanced, uniform",
    ),
    ("train.select=first", r"train\.select='first' is not allowed; allowed: best, last, lowest_loss"),
    ("train.patience=0", r"train\.patience=0 is not allowed: 1 or more, or null"),
    (
        "train.patience=3 train.select=last",
        r"train\.patience=3 is not allowed: null with train\.select=last, which looks at no validation",
    ),
    ("backbone=crnn_dws", r"train\.augment\.mel_jitter=true is not allowed: false with backbone=crnn_dws"),
    (
        "model=dnd-dws backbone=fmn04",
        r"model=dnd-dws beside backbone=fmn04: the model's name says both its backbone and its head; give one of "
        r"the two",
    ),
    ("seq=tf model=dnd-dws", r"model=dnd-dws beside seq=tf: .*"),
    ("model=dnd-dwd", r"'dnd-dwd' is not a model name: no system 'dnd-dwd'; did you mean 'dnd-dws'\?; .*"),
    ("model=fmn10_strong", r"model=fmn10_strong names trained weights; a training takes an architecture, model=fmn10"),
    ("modle=dnd-dws", r"unknown key modle=dnd-dws; did you mean 'model'\? .*"),
    ("sweep=dnd_table1", r"sweep=dnd_table1: a grid is for `sweep`; a run takes experiment=NAME"),
    (
        "backbone=crnn_dws backbone.frontend=mfcc",
        r"backbone\.frontend='mfcc' is not allowed; did you mean 'mfcc40'\? allowed: logmel40, mfcc40, mfcc40_2048",
    ),
    ("backbone=crnn_dws backbone.dropout=1", r"backbone\.dropout=1\.0 is not allowed: 0 to below 1"),
    ("seq=dilated seq.join=sum", r"seq\.join='sum' is not allowed; .*allowed: conv1x1, maxpool, mean, stride"),
    ("seq=dilated seq.kernel=4", r"seq\.kernel=4 is not allowed: 3, 5 or 7"),
    ("data=urbansound8k data.fold=0", r"data\.fold=0 is not allowed: 1 to 10"),
    ("data=urbansound8k data.fold=11", r"data\.fold=11 is not allowed: 1 to 10"),
    ("data.clip_seconds=0.5", r"data\.clip_seconds=0\.5 is not allowed: 1 to 3600 seconds"),
    *(
        (f"train.augment.{name}_probability=1.5", rf"train\.augment\.{name}_probability=1\.5 is not allowed: 0 to 1")
        for name in ("wave_mix", "mixup", "mixstyle", "filter", "freq_warp")
    ),
    *(
        (f"train.augment.{name}_alpha=0", rf"train\.augment\.{name}_alpha=0\.0 is not allowed: above 0")
        for name in ("wave_mix", "mixup", "mixstyle")
    ),
    (
        "train.augment.time_mask_max=0.01",
        r"train\.augment\.time_mask_max=0\.01 is not allowed: 0\.05 to 0\.9, or 0 for no mask",
    ),
    (
        "train.augment.time_mask_max=1",
        r"train\.augment\.time_mask_max=1\.0 is not allowed: 0\.05 to 0\.9, or 0 for no mask",
    ),
    ("train.augment.filter_db=-3", r"train\.augment\.filter_db=-3\.0 is not allowed: 0 dB or more"),
    (
        "train.augment.filter_type=lines",
        r"train\.augment\.filter_type='lines' is not allowed; (did you mean 'linear'\? )?allowed: linear, step",
    ),
    ("train.augment.freq_warp_min=0", r"train\.augment\.freq_warp_min=0\.0 is not allowed: above 0, at most 1"),
    (
        "data.median_frames=4",
        r"data\.median_frames=4 is not allowed: an odd number of frames, at most 9999, 1 for no filter",
    ),
    ("data.scene_seconds=1", r"data\.scene_seconds=1 is not allowed: 3 to 3600 seconds"),
    ("data.min_snr_db=30", r"data\.min_snr_db=30\.0 is not allowed: at most data\.max_snr_db=20\.0"),
    (
        "data=folder data.classes=[dog,dog]",
        r"data\.classes=\('dog', 'dog'\) is not allowed: at least one label, none twice",
    ),
]


@pytest.mark.parametrize(("typed", "message"), BAD, ids=[row[0] for row in BAD])
def test_bad_overrides(typed: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_run(typed.split())
    assert re.fullmatch(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "backbone is missing: give backbone=VALUE"),
        ({"backbone": "fmn10"}, r"backbone='fmn10' must name a backbone; did you mean 'fmn10'\? .*"),
        ({"backbone": {"init": None}}, r"backbone=\{'init': None\} must name a backbone; .*"),
        ({"backbone": {"name": "fmn10", "width": 2}}, r"unknown key backbone\.width=2; .*allowed: .*init.*"),
        ({"backbone": {"name": "fmn10"}, "sequence": {}}, r"unknown key sequence=\{\}; did you mean 'seq'\? .*"),
        (
            {"backbone": {"name": "fmn10"}, "seq": {"name": "tf", "hidden": "256"}},
            r"seq\.hidden='256' must be a whole number",
        ),
        ([], r"=\[\] must be a group of keys: .*"),
    ],
)
def test_bad_stored_values(values: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(RunConfig, values)
    assert re.fullmatch(message, str(caught.value)), str(caught.value)


def test_whole_numbers_are_numbers() -> None:
    assert from_dict(TrainConfig, {"lr_head": 1}, "train") == TrainConfig(lr_head=1.0)


@pytest.mark.parametrize(
    ("typed", "points"),
    [
        ("seq=tf", ["seq=tf"]),
        ("", [""]),
        ("seq=tf,gru seed=0,1", ["seq=tf seed=0", "seq=tf seed=1", "seq=gru seed=0", "seq=gru seed=1"]),
        ("seed=3,1,2 seq=tf", ["seed=3 seq=tf", "seed=1 seq=tf", "seed=2 seq=tf"]),
        ("seed=range(0,3)", ["seed=0", "seed=1", "seed=2"]),
        (
            "data.classes=[a,b] seq.hidden=64,128",
            ["data.classes=[a,b] seq.hidden=64", "data.classes=[a,b] seq.hidden=128"],
        ),
    ],
)
def test_sweeps_keep_the_order_typed(typed: str, points: list[str]) -> None:
    assert expand_sweep(typed.split()) == [point.split() for point in points]


NAMES = [
    "it's",
    '"',
    "'",
    "'a'b'",
    "a'b\"c",
    "${a}",
    "${a",
    "\\${oc.env:HOME}",
    "$HOME",
    "a=b",
    "a,b",
    "a,'b',",
    "{}",
    "{a: 1}",
    "[]",
    "[a",
    "[a,b]",
    "1e3",
    "1_000",
    "0x10",
    "-1",
    "true",
    "Null",
]
NAMES += [
    "???",
    "~",
    "~/x",
    "#",
    "a # b",
    " a ",
    "a\\b",
    "a\\",
    "C:\\'",
    "é",
    "日本",
    "%s",
    "!",
    "`a`",
    "a;b",
    "(a)",
    "choice(a)",
    "a:b",
    "@x",
    "*",
    "\n",
    "data=x",
    "-",
]


@pytest.mark.parametrize("kind", Text)
def test_text_is_taken_as_typed_or_as_advised(kind: Text) -> None:
    for name in NAMES:
        if kind is Text.LIST and re.fullmatch(r"\[.*\]", name):
            continue
        typed, wanted = f"data.root={name}", name
        if len(split_alternatives(name, kind)) > 1:
            with pytest.raises(ConfigError) as refused:
                read_text(typed, kind)
            assert str(refused.value).startswith(printable(typed))
            (typed,) = shlex.split(str(refused.value).rpartition("takes quotes: ")[2])
        assert read_text(typed, kind) == wanted
        value = typed.partition("=")[2]
        assert split_alternatives(value, kind) == [value]
        assert split_alternatives(f"{value}, other", kind) == [value.strip(), "other"]


def test_text_comes_through_composing() -> None:
    for index in range(0, len(NAMES), 4):
        names = [name for name in NAMES[index : index + 4] if "," not in name]
        keys = ("data.root", "output_dir", "data.test", "train.init_from")[: len(names)]
        values = to_dict(
            compose_run(["data=folder", *(f"{key}={name}" for key, name in zip(keys, names, strict=True))])
        )
        found = [values[key] if key == "output_dir" else values[key.split(".")[0]][key.split(".")[1]] for key in keys]
        assert found == names
        assert yaml.safe_load(to_yaml(compose_run([f"output_dir={names[0]}"])))["output_dir"] == names[0]


@given(strategies.text(strategies.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_advice_gives_any_text(text: str) -> None:
    for kind in Text:
        (typed,) = shlex.split(advise("data.root", text))
        assert read_text(typed, kind) == text
        assert split_alternatives(f"{typed.partition('=')[2]},b", kind)[1:] == ["b"]


def test_null_and_lists_of_text() -> None:
    config = compose_run(["data=folder", "data.train=null", "data.classes=[it's, 'a,b' ,\"]\",1e3,null]"])
    assert (config.data.train, config.data.classes) == (None, ("it's", "a,b", "]", "1e3", "null"))  # type: ignore[attr-defined]
    assert compose_run(["data=folder", "data.train='null'"]).data.train == "null"  # type: ignore[attr-defined]
    assert expand_sweep(["train.teacher=[a,b],c,null"]) == [
        ["train.teacher=[a,b]"],
        ["train.teacher=c"],
        ["train.teacher=null"],
    ]


def test_bad_sweep() -> None:
    with pytest.raises(ConfigError, match=r"^'seq' is not key=value$"):
        expand_sweep(["seq"])
