"""Every option of a run is described by the text under its field."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from efficient_sed.cli.main import main
from efficient_sed.config.describe import changed_options, commented_yaml, field_docs, option_docs
from efficient_sed.config.run import RunConfig
from efficient_sed.config.values import to_dict
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.keys import all_keys, option_groups
from efficient_sed.files.packaged import presets
from efficient_sed.registry import BACKBONES, DATASETS, SEQUENCE_HEADS


def test_every_key_that_a_run_takes_is_listed() -> None:
    docs = option_docs()
    apart = {"backbone", "seq", "data", "train.augment", "data.columns", *option_groups()}
    assert {doc.key for doc in docs} == set(all_keys()) - apart
    assert len(docs) > 100
    assert [(doc.key, doc.owners) for doc in docs if not doc.description] == []
    owners = {name for doc in docs for name in doc.owners}
    assert owners == {*BACKBONES.names(), *SEQUENCE_HEADS.names(), *DATASETS.names()} - {"none"}


@pytest.mark.parametrize(
    ("key", "kind", "default", "description"),
    [
        ("train.draws_per_epoch", "int | None", "null", "Clips in an epoch, over all processes; 1 or more"),
        ("train.augment.mel_jitter", "bool", "true", "Whether the edges of the mel bank"),
        (
            "benchmark.modes",
            "tuple[Literal['eager', 'fused', 'compiled', 'graphed'], ...]",
            "[eager, fused]",
            "Forms of",
        ),
        ("output_dir", "str", "runs", "Folder in which"),
    ],
)
def test_one_option(key: str, kind: str, default: str, description: str) -> None:
    (doc,) = [doc for doc in option_docs() if doc.key == key]
    assert (doc.type, doc.default) == (kind, default)
    assert doc.description.startswith(description)


def test_a_subclass_that_changes_a_default_keeps_the_text() -> None:
    assert field_docs(DATASETS.get("folder"))["clip_seconds"][1].startswith("Length of a training clip")
    own = [doc for doc in option_docs() if doc.key == "data.median_frames" and "synthetic" in doc.owners]
    assert [doc.default for doc in own] == ["1"]


@pytest.mark.parametrize("overrides", [[], ["seq=gru", "data=folder", "data.classes=['a: b','null','1']"]])
def test_comments_change_no_value(overrides: list[str]) -> None:
    config = compose_run(overrides)
    text = commented_yaml(config)
    assert yaml.safe_load(text) == to_dict(config)
    assert "# Peak learning rate of the backbone's last stage; above 0.\n  lr_backbone: 0.003" in text


@pytest.mark.parametrize("preset", presets("experiment"))
def test_every_preset_can_be_shown(preset: str) -> None:
    config: RunConfig = compose_run([f"experiment={preset}"])
    assert yaml.safe_load(commented_yaml(config)) == to_dict(config)


def test_a_terminal_gets_comments(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["train", "--show-config", "seq=gru"]) == 0
    assert "\n  # State size" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["train", "--show-config"], ["train", "--help"], ["sweep", "--help"], ["--help"]])
def test_options_are_shown_without_lightning(words: list[str]) -> None:
    script = (
        "import contextlib, io, sys\n"
        "from efficient_sed.cli.main import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:\n"
        f"    main({words!r})\n"
        "assert len(out.getvalue()) > 300\n"
        "print(sorted({'pytorch_lightning', 'lightning_fabric', 'timm', 'ray', 'submitit'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize("name", presets("experiment"))
def test_changed_options_make_the_configuration_again(name: str) -> None:
    config = compose_run([f"experiment={name}"])
    assert compose_run(list(changed_options(config))) == config
