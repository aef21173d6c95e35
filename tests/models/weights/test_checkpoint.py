"""What is saved comes back; what does not fit, is damaged or holds code is refused with its reason."""

from __future__ import annotations

import errno
import json
import os
import pickle
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

import efficient_sed as es
from efficient_sed.data.labels import audioset_labels
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.models.sed import Provenance, SedModel

CLASSES = ("bell", "dog", "siren")


def create(name: str = "fmn04+tf-64") -> SedModel:
    torch.manual_seed(1)
    model = es.create_model(name, classes=CLASSES)
    tuned = {"events": [{"name": "median", "window": 5}], "thresholds": [0.3] * len(model.classes)}
    model.provenance = Provenance(5, 3, notes={"psds1": 0.5, "seed": 7}, postprocessing=tuned)
    for key, value in model.state_dict().items():
        if "running" in key:
            value.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("name", ["fmn04", "fmn04+tf-64", "fmn04+gru-32"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    model = create(name)
    es.save_model(model, tmp_path / "folder" / "mine.safetensors")
    loaded = es.load_model(str(tmp_path / "folder" / "mine.safetensors"))
    assert loaded.spec == model.spec
    assert loaded.classes == list(CLASSES)
    assert loaded.provenance == model.provenance
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())
    mel = torch.randn(1, 1, 128, 100)
    assert torch.equal(loaded(mel).frame_logits, model(mel).frame_logits)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["mine.safetensors"]


def test_half_precision(tmp_path: Path) -> None:
    model = create()
    es.save_model(model, tmp_path / "full.safetensors")
    es.save_model(model, tmp_path / "half.safetensors", half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "full.safetensors").stat().st_size
    for key, value in es.load_model(str(tmp_path / "half.safetensors")).state_dict().items():
        expected = model.state_dict()[key]
        assert value.dtype == expected.dtype
        torch.testing.assert_close(value, expected, rtol=2**-11, atol=2**-24)


def test_architecture_with_options_comes_back(tmp_path: Path) -> None:
    parsed = create().spec
    model = SedModel(type(parsed)(parsed.backbone, type(parsed.seq)(hidden=64, num_layers=1, num_heads=2), CLASSES))  # type: ignore[call-arg]
    es.save_model(model, tmp_path / "mine.safetensors")
    assert es.load_model(str(tmp_path / "mine.safetensors")).spec == model.spec


Change = Callable[[dict[str, torch.Tensor]], Any]
UNFIT: list[tuple[str, Change, str]] = [
    ("missing", lambda state: state.pop("classifier.strong.weight"), "1 missing, first classifier.strong.weight"),
    ("extra", lambda state: state.update({"backbone.extra": torch.zeros(1)}), "1 unknown, first backbone.extra"),
    (
        "misshapen",
        lambda state: state.update({"sequence.norm.gamma": torch.ones(65)}),
        r"1 misshapen, first sequence.norm.gamma: \(65,\) in the file, \(64,\) in the model",
    ),
    (
        "renamed",
        lambda state: state.update({"backbone.a": state.pop("backbone.features.0.0.weight")}),
        "1 missing, first backbone.features.0.0.weight; 1 unknown, first backbone.a",
    ),
    ("empty", lambda state: state.clear(), r"\d{3} missing, first backbone.features.0.0.weight"),
]


@pytest.mark.parametrize(
    ("suffix", "change", "reason"),
    [((".safetensors", ".pt")[index % 2], *row[1:]) for index, row in enumerate(UNFIT)],
    ids=[row[0] for row in UNFIT],
)
def test_keys_that_do_not_fit_are_named(tmp_path: Path, suffix: str, change: Change, reason: str) -> None:
    model = create()
    es.save_model(model, tmp_path / "mine.safetensors")
    state = dict(model.state_dict())
    change(state)
    path = tmp_path / f"changed{suffix}"
    if suffix == ".pt":
        if not state:
            reason = r"not a dictionary of tensors \(it is empty\)"
        torch.save(state, path)
        name, checkpoint = "fmn04+tf-64", path
    else:
        with safetensors.safe_open(tmp_path / "mine.safetensors", framework="pt") as file:
            safetensors.torch.save_file(state, path, metadata=file.metadata())
        name, checkpoint = str(path), None
    with pytest.raises(CheckpointError, match=f"^{path}: .*{reason}$"):
        es.load_model(name, checkpoint=checkpoint)


@pytest.mark.parametrize("name", ["fmn04", "fmn06+tf-64", "fmn04+tf-128", "fmn04+gru-64"])
def test_wrong_architecture(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.safetensors"
    es.save_model(create(), path)
    with pytest.raises(CheckpointError) as caught:
        es.load_model(name, checkpoint=path)
    assert str(caught.value) == f"{path}: holds fmn04+tf-64, not {name}"
    torch.save(create().state_dict(), tmp_path / "mine.pt")  # says nothing about itself
    reason = (
        "holds fmn04, not fmn06$"
        if name.startswith("fmn06")
        else r"the weights do not fit: .*first (sequence|classifier)\."
    )
    with pytest.raises(CheckpointError, match=rf"mine\.pt: {reason}"):
        es.load_model(name, checkpoint=tmp_path / "mine.pt")


def test_weights_alone_need_a_name(tmp_path: Path) -> None:
    torch.save(create().state_dict(), tmp_path / "mine.pt")
    with pytest.raises(
        CheckpointError,
        match=r"does not say which model it holds; name it, as in load_model\('fmn10\+tf-256', checkpoint=",
    ):
        es.load_model(str(tmp_path / "mine.pt"))
    assert es.load_model("fmn04+tf-64", checkpoint=tmp_path / "mine.pt").classes == ["class_0", "class_1", "class_2"]


class Payload:
    """Unpickled carelessly, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def zipped(content: Any, path: Path, share: float = 1.0, **options: Any) -> None:
    torch.save(content, path, **options)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def ours(path: Path, share: float = 1.0, header: Any = None) -> None:
    es.save_model(create(), path)
    if header is not None:
        path.write_bytes(
            safetensors.torch.save(
                {"a": torch.zeros(1)},
                metadata={"efficient_sed": header if isinstance(header, str) else json.dumps(header)},
            )
        )
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


HEADER = {
    "format": "efficient_sed/1",
    "backbone": {"name": "fmn04"},
    "seq": {"name": "none"},
    "classes": ["a"],
    "provenance": {},
}
WEIGHTS = {"a": torch.zeros(1000)}
BAD: list[tuple[str, str, Callable[[Path], Any], str]] = [
    ("missing", "a.pt", Path.exists, "no such checkpoint file"),
    ("folder", "a.safetensors", Path.mkdir, "no such checkpoint file"),
    (
        "web page",
        "a.pt",
        lambda path: path.write_text("<!DOCTYPE html>\n<html><body>Not Found</body></html>\n"),
        "web page",
    ),
    ("text", "a.ckpt", lambda path: path.write_text("hello\n"), "damaged, cut short, or of another kind"),
    ("no bytes", "a.pt", lambda path: path.write_bytes(b""), "it is empty"),
    ("truncated", "a.pt", lambda path: zipped(WEIGHTS, path, 0.5), "damaged, cut short, or of another kind"),
    (
        "truncated, old format",
        "a.pt",
        lambda path: zipped(WEIGHTS, path, 0.01, _use_new_zipfile_serialization=False),
        "damaged, cut short, or of another kind",
    ),
    ("list", "a.pt", lambda path: zipped([1], path), "holds a list, not a dictionary of tensors"),
    ("numbers", "a.pt", lambda path: zipped({"epoch": 3}, path), "'epoch' is none"),
    ("numbered", "a.pt", lambda path: zipped({1: torch.zeros(1)}, path), "1 is none"),
    ("nested", "a.pt", lambda path: zipped({"model": WEIGHTS}, path), "'model' is none"),
    ("no classifier", "a.pt", lambda path: zipped(WEIGHTS, path), r"holds no classifier \(strong_head.bias\)"),
    ("Lightning without tensors", "a.ckpt", lambda path: zipped({"state_dict": [1]}, path), "'state_dict' is none"),
    ("truncated", "a.safetensors", lambda path: ours(path, 0.5), "damaged or not a safetensors file"),
    ("truncated header", "a.safetensors", lambda path: ours(path, 0.001), "damaged or not a safetensors file"),
    (
        "web page",
        "a.safetensors",
        lambda path: path.write_text("<!DOCTYPE html>\n"),
        "damaged or not a safetensors file",
    ),
    (
        "foreign",
        "a.safetensors",
        lambda path: safetensors.torch.save_file(WEIGHTS, path),
        r"not one of ours \(no 'efficient_sed' header\)",
    ),
    (
        "newer",
        "a.safetensors",
        lambda path: ours(path, header=HEADER | {"format": "efficient_sed/9"}),
        "format 'efficient_sed/9' is not known here; this version reads efficient_sed/1",
    ),
    ("header not JSON", "a.safetensors", lambda path: ours(path, header="{"), "its header is damaged"),
    ("header of another kind", "a.safetensors", lambda path: ours(path, header=[1]), "is not known here"),
    (
        "header without classes",
        "a.safetensors",
        lambda path: ours(path, header={k: v for k, v in HEADER.items() if k != "classes"}),
        r"does not describe a model .*\('classes'\)",
    ),
    (
        "header with an unknown part",
        "a.safetensors",
        lambda path: ours(path, header=HEADER | {"seq": {"name": "tff"}}),
        "unknown sequence head 'tff'; did you mean 'tf'",
    ),
    (
        "header with an unknown key",
        "a.safetensors",
        lambda path: ours(path, header=HEADER | {"backbone": {"name": "fmn04", "widht": 1}}),
        "unknown key backbone.widht=1",
    ),
]


@pytest.mark.parametrize(
    ("name", "make", "reason"), [row[1:] for row in BAD], ids=[f"{row[0]} {row[1]}" for row in BAD]
)
def test_bad_files(tmp_path: Path, name: str, make: Callable[[Path], Any], reason: str) -> None:
    path = tmp_path / name
    make(path)
    for model, checkpoint in [("fmn04", path)] + ([(str(path), None)] if path.suffix == ".safetensors" else []):
        with pytest.raises(CheckpointError, match=f"^{path}: .*{reason}") as caught:
            es.load_model(model, checkpoint=checkpoint)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["zip", "old", "bare"])
def test_code_is_not_run(tmp_path: Path, form: str) -> None:
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    if form == "bare":
        path.write_bytes(pickle.dumps({"a": Payload(trace)}, protocol=2))
    else:
        torch.save({"a": Payload(trace)}, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(
        CheckpointError,
        match=r"evil\.pt: not a checkpoint of plain tensors: it (holds code, which is never run|is damaged)",
    ):
        es.load_model("fmn04", checkpoint=path)
    assert not trace.exists()


@pytest.mark.parametrize("is_zip", [True, False])
def test_flipped_bytes(tmp_path: Path, is_zip: bool) -> None:
    path, rng = tmp_path / "flipped.pt", random.Random(0)
    torch.save({"a": torch.zeros(10)}, path, _use_new_zipfile_serialization=is_zip)
    whole = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch wonders about pickle protocols
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(3):
                data[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(data)
            with pytest.raises(CheckpointError):
                es.load_model("fmn04", checkpoint=path)


def test_new_classifier(tmp_path: Path) -> None:
    model = create()
    es.save_model(model, tmp_path / "mine.safetensors")
    torch.save(model.state_dict(), tmp_path / "mine.pt")
    for name, checkpoint in [(str(tmp_path / "mine.safetensors"), None), ("fmn04+tf-64", tmp_path / "mine.pt")]:
        kept = es.load_model(name, checkpoint=checkpoint, num_classes=3)
        assert all(torch.equal(value, model.state_dict()[key]) for key, value in kept.state_dict().items())
        for num_classes in (5, 527):
            loaded = es.load_model(name, checkpoint=checkpoint, num_classes=num_classes)
            assert (
                len(loaded.classes)
                == loaded.classifier.strong.out_features
                == loaded.classifier.weak.out_features
                == num_classes
            )
            assert tuple(loaded.classes) == (
                audioset_labels("weak") if num_classes == 527 else tuple(f"class_{k}" for k in range(num_classes))
            )
            for key, value in loaded.state_dict().items():
                assert torch.equal(value, model.state_dict()[key]) == (not key.startswith("classifier.")), key
    with pytest.raises(ConfigError, match="num_classes=0 is not allowed: 1 or more"):
        es.load_model(str(tmp_path / "mine.safetensors"), num_classes=0)


GRAMMAR = (
    r"a model is named <backbone>\[\+<head>-<hidden>\], such as fmn10 or fmn10\+tf-256, "
    r"or is a system such as dnd-dnd-k7-d10"
)
BAD_NAMES = [
    ("", f"'' is not a model name: {GRAMMAR}"),
    (
        "fmn03",
        f"'fmn03' is not a model name: unknown backbone 'fmn03'; did you mean 'fmn\\d\\d'\\? allowed: .*; {GRAMMAR}",
    ),
    (
        "fmn10+tff-256",
        "'fmn10\\+tff-256' is not a model name: unknown sequence head 'tff'; did you mean 'tf'\\? allowed: .*; "
        f"{GRAMMAR}",
    ),
    (
        "fmn10+tf-250",
        "'fmn10\\+tf-250' is not a model name: seq.hidden=250 is not allowed: .*divisible by .* 16 .*; nearest: 256; "
        f"{GRAMMAR}",
    ),
    (
        "fmn10+attn-129",
        ".* seq.hidden=129 is not allowed: it must be divisible by 2 \\* seq.num_heads = 16 .*; nearest: 128; "
        f"{GRAMMAR}",
    ),
    (
        "fmn10+hybrid-105",
        f".* seq.hidden=105 is not allowed: it must be divisible by seq.num_heads = 8; nearest: 104; {GRAMMAR}",
    ),
    (
        "fmn10+mamba-100",
        f".* seq.hidden=100 is not allowed: it must be divisible by 16 .*seq.head_dim = 32.*; nearest: 96; {GRAMMAR}",
    ),
    (
        "fmn10+bimamba-1000",
        f".* seq.hidden=1000 is not allowed: it must be divisible by 16 .*seq.head_dim = 32.*; nearest: 992; {GRAMMAR}",
    ),
    ("fmn10+dilated-5", f".* seq.hidden=5 is not allowed: 7 to 8192, seq.kernel = 7 or more; {GRAMMAR}"),
    ("fmn10+tcn-0", f".* seq.hidden=0 is not allowed: 1 to 8192; {GRAMMAR}"),
    ("fmn10+mingru-0", f".* seq.hidden=0 is not allowed: 1 to 8192; {GRAMMAR}"),
    ("fmn10+tf", f"'fmn10\\+tf' is not a model name: {GRAMMAR}"),
    ("fmn10+tf-", f"'fmn10\\+tf-' is not a model name: {GRAMMAR}"),
    ("fmn10+tf-256+gru-128", f".* is not a model name: {GRAMMAR}"),
    ("fmn10+tf-256_", f".* is not a model name: {GRAMMAR}"),
    ("fmn10+tf--8", f".* is not a model name: {GRAMMAR}"),
    ("fmn10+none-3", f".* is not a model name: unknown key seq.hidden=3; allowed: none; {GRAMMAR}"),
    ("fmn10+gru-0", f".* is not a model name: seq.hidden=0 is not allowed: 1 to 8192; {GRAMMAR}"),
]


def test_a_large_new_head(tmp_path: Path) -> None:
    es.save_model(es.create_model("fmn04", num_classes=2), tmp_path / "fmn04.safetensors")
    model = es.load_model("fmn04+gru-1024", checkpoint=tmp_path / "fmn04.safetensors")
    assert sum(parameter.numel() for parameter in model.parameters()) > 20_000_000


@pytest.mark.parametrize(("name", "message"), BAD_NAMES, ids=[row[0] or "nothing" for row in BAD_NAMES])
def test_bad_names(tmp_path: Path, name: str, message: str) -> None:
    torch.save(WEIGHTS, tmp_path / "a.pt")
    for call in (
        lambda: es.create_model(name, num_classes=3),
        lambda: es.load_model(name),
        lambda: es.load_model(name, checkpoint=tmp_path / "a.pt"),
    ):
        with pytest.raises(ConfigError, match=f"^{message}$"):
            call()


def test_names_with_and_without_weights() -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"'fmn10_mine' names trained weights: load_model\('fmn10_mine'\) loads them, "
            r"create_model\('fmn10'\) makes random ones"
        ),
    ):
        es.create_model("fmn10_mine", num_classes=3)
    with pytest.raises(
        CheckpointError,
        match=(
            r"^'fmn10\+tf-256' names no weights: .*checkpoint=FILE, or a released name; the nearest: "
            r"fmn10\+tf-256_strong, "
        ),
    ):
        es.load_model("fmn10+tf-256")
    with pytest.raises(
        CheckpointError,
        match=r"^no released weights are called 'fmn10_mine'; the nearest: .*; a file of yours is given by its path",
    ):
        es.load_model("fmn10_mine")
    for options in ({}, {"num_classes": 3, "classes": ["a"]}):
        with pytest.raises(ConfigError, match="either num_classes=N or classes="):
            es.create_model("fmn10", **options)


def full_disk(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.safetensors"
    es.save_model(create(), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(
        CheckpointError,
        match=f"^{path}: cannot be written \\(No space left on device\\); what was there before is untouched$",
    ):
        es.save_model(create("fmn04"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


LIMITED = """
import resource, sys
import efficient_sed as es
from efficient_sed.errors import CheckpointError
model = es.create_model("fmn04", num_classes=3)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    es.save_model(model, sys.argv[1])
except CheckpointError as error:
    print(error)
"""


def test_a_write_that_stops_half_way(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_text("what was there")
    run = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    assert run.stdout == f"{path}: cannot be written (File too large); what was there before is untouched\n"
    assert path.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("note", [float("nan"), Path("runs")])
def test_notes_that_could_not_be_read_again(tmp_path: Path, note: object) -> None:
    model = create("fmn04")
    model.provenance = Provenance(notes={"psds1": note})
    with pytest.raises(
        CheckpointError,
        match=(
            r"a\.safetensors: the notes of the model's provenance could not be read again \(.*\); "
            r"keep text and finite numbers in them$"
        ),
    ):
        es.save_model(model, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("make", "reason"), [(Path.mkdir, "Is a directory"), (None, "Not a directory")])
def test_unwritable_place(tmp_path: Path, make: Callable[[Path], None] | None, reason: str) -> None:
    path = tmp_path / "a.safetensors"
    if make is None:
        path.write_text("")
        path = path / "b.safetensors"
    else:
        make(path)
    with pytest.raises(CheckpointError, match=f"cannot be written \\(({reason}|File exists)\\)"):
        es.save_model(create("fmn04"), path)
    assert len(list(tmp_path.iterdir())) == 1


def lightning(content: dict[str, Any]) -> dict[str, Any]:
    return {"state_dict": {f"model.{key}": value for key, value in create().state_dict().items()}, **content}


STRANGE: list[tuple[str, Callable[[], dict[str, Any]], str]] = [
    ("no hyper-parameters", lambda: lightning({"hyper_parameters": None}), "first backbone"),
    ("somebody else's", lambda: lightning({"hyper_parameters": {"model": "fmn04"}}), "first backbone"),
    ("sparse", lambda: {**create().state_dict(), "classifier.strong.bias": torch.zeros(3).to_sparse()}, "is none"),
    (
        "on no device",
        lambda: {**create().state_dict(), "classifier.strong.bias": torch.zeros(3, device="meta")},
        "is none",
    ),
    (
        "complex",
        lambda: {**create().state_dict(), "classifier.strong.bias": torch.zeros(3, dtype=torch.complex64)},
        "is none",
    ),
    ("scalar", lambda: {**create().state_dict(), "classifier.strong.bias": torch.tensor(1.0)}, "holds no classifier"),
    ("no classes", lambda: {**create().state_dict(), "classifier.strong.bias": torch.zeros(0)}, "holds no classifier"),
    (
        "not finite",
        lambda: {**create().state_dict(), "classifier.strong.bias": torch.full((3,), torch.nan)},
        "1 weights are not finite numbers, first classifier.strong.bias",
    ),
]


@pytest.mark.filterwarnings("ignore:Sparse")  # torch, on loading one
@pytest.mark.parametrize(("make", "reason"), [row[1:] for row in STRANGE], ids=[row[0] for row in STRANGE])
def test_strange_contents(tmp_path: Path, make: Callable[[], dict[str, Any]], reason: str) -> None:
    path = tmp_path / "strange.ckpt"
    torch.save(make(), path)
    with pytest.raises(CheckpointError) as caught:
        es.load_model("fmn04+tf-64", checkpoint=path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tag_beside_a_file(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "a.pt")
    with pytest.raises(ConfigError, match=r"^'fmn04_mine': with checkpoint=FILE give the architecture alone, fmn04$"):
        es.load_model("fmn04_mine", checkpoint=tmp_path / "a.pt")


def test_replaced_parts_leave_the_past_behind(tmp_path: Path) -> None:
    """Weights for tagging, whose head and classifier are made anew, are no tagger any more."""
    model = create()
    model.provenance = Provenance(task="tagging", notes={"released_as": "something"})
    es.save_model(model, tmp_path / "mine.safetensors")
    loaded = es.load_model(str(tmp_path / "mine.safetensors"), num_classes=5)
    assert loaded.provenance == Provenance(notes={"trained_part_from": "mine.safetensors"})
