"""Every card is true of the model it names, and weights are found, fetched and checked as they should be."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

import efficient_sed as es
from efficient_sed.audio.frontends.mel import MEL_BINS
from efficient_sed.audio.grid import HOP_LENGTH, SAMPLE_RATE
from efficient_sed.benchmark.macs import MacsReport, count_macs
from efficient_sed.data.sounds import SOUND_CLASSES
from efficient_sed.errors import CheckpointError
from efficient_sed.files.cache import home_folder
from efficient_sed.files.packaged import resource_folder
from efficient_sed.models.names import parse_name
from efficient_sed.models.weights import cards, download
from efficient_sed.models.weights.cards import (
    SYNTHETIC_DETECTOR,
    Card,
    find_weights,
    get_card,
    list_cards,
    local_weights,
    provenance_of,
    record_checksum,
)

CARDS = list_cards()
OWN = sorted(name for name, card in CARDS.items() if card.url is None)
RELEASED = sorted(name for name, card in CARDS.items() if card.url is not None)
EFFICIENT_SED = "https://github.com/theMoro/EfficientSED/releases/download/v0.0.1/"
PRETRAINED_SED = "https://github.com/fschmid56/PretrainedSED/releases/download/v0.0.1/"
TRANSFORMERS = {
    "beats": ("BEATs", 0.465),
    "atst_f": ("ATST-F", 0.458),
    "fpasst": ("fpasst", 0.454),
    "m2d": ("M2D", 0.463),
    "asit": ("ASIT", 0.462),
}
"""Start of their files' names, and PSDS1 of the trained ones."""
TAGGERS = [("01", 298), ("02", 378), ("04", 432), ("05", 443), ("10", 471), ("20", 478), ("30", 482), ("40", 484)]
EFFICIENT_AT = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/"
with (resource_folder("published") / "efficientsed_audioset_strong.csv").open(newline="") as table:
    PUBLISHED = {row["checkpoint"]: row for row in csv.DictReader(table) if row["checkpoint"]}


@cache
def costs(architecture: str, num_classes: int) -> tuple[int, int, MacsReport]:
    """Parameters, those of the backbone, and MACs. A backbone computes shapes alone."""
    with torch.device("meta"):
        model = es.create_model(architecture, num_classes)
    for part in (model.frontend, model.sequence, model.classifier):
        part.to_empty(device="cpu")
    model.backbone.register_forward_pre_hook(lambda _, inputs: inputs[0].to("meta"))
    model.backbone.register_forward_hook(lambda _, __, features: torch.zeros(features.shape))
    return (
        sum(p.numel() for p in model.parameters()),
        sum(p.numel() for p in model.backbone.parameters()),
        count_macs(model),
    )


def test_there_is_a_card_for_every_released_file() -> None:
    widths = ("04", "06", "10", "20", "30")
    starts = {f"mn{width}_im" for width in (*widths, "01", "02", "05", "40")} | {
        *(f"dymn{width}_{tag}" for width in ("04", "10", "20") for tag in ("im", "as")),
        *(f"mn{width}_as_mAP_{score}" for width, score in TAGGERS),
        "mn40_as_ext_mAP_487",
    }
    assert {"fmn04_synthetic", "fmn10_synthetic", SYNTHETIC_DETECTOR} == set(OWN)
    transformers = {f"{name}_{tag}" for name in TRANSFORMERS for tag in ("ssl", "weak", "strong")}
    assert set(PUBLISHED) | {f"fmn{width}_weak" for width in widths} | starts | transformers == set(RELEASED)
    assert (len(PUBLISHED), len(RELEASED)) == (30, 74)


@pytest.mark.parametrize("name", sorted(CARDS))
def test_a_card_is_true_of_its_model(name: str) -> None:
    card = CARDS[name]
    assert json.loads((resource_folder("pretrained") / f"{name}.json").read_text(encoding="utf-8"))["name"] == name
    params, backbone_params, macs = costs(card.architecture, card.num_classes or 447)
    assert (card.params, card.macs) == (
        (backbone_params, macs.by_part["backbone"]) if card.task == "backbone" else (params, macs.total)
    )
    assert card.summary.endswith(".")
    assert "\n" not in card.summary
    assert card.licence == "MIT"
    assert all(0 < value < 1 and score.source for score in card.scores for value in score.values.values())
    assert (card.num_classes, card.class_list) == {
        "detection": (447, "audioset_strong") if card.url else (16, "synthetic"),
        "tagging": (527, "audioset_weak") if card.url else (16, "synthetic"),
        "backbone": (None, None),
    }[card.task]
    if card.task != "backbone":
        parsed = parse_name(name)
        assert (parsed.architecture, parsed.tag is not None) == (card.architecture, True)
        assert card.input is not None
        bins = {"atst_f": 64, "m2d": 80}.get(card.architecture, MEL_BINS)
        sample_rate = (
            2 * SAMPLE_RATE if "mn" in card.architecture[:4] and "fmn" not in card.architecture else SAMPLE_RATE
        )
        assert (card.input.sample_rate, card.input.mel_bins, card.input.frames_per_s) == (
            sample_rate,
            bins,
            SAMPLE_RATE // HOP_LENGTH,
        )


@pytest.mark.parametrize("name", [name for name in RELEASED if CARDS[name].architecture in TRANSFORMERS])
def test_a_transformer(name: str) -> None:
    card = CARDS[name]
    file, score = TRANSFORMERS[card.architecture]
    tag = name.removeprefix(f"{card.architecture}_")
    assert card.file == f"{file}_{'strong_1' if tag == 'strong' else tag}.pt"
    assert (card.url, card.release) == (
        f"{PRETRAINED_SED}{card.file}",
        PRETRAINED_SED.rstrip("/").replace("/download/", "/tag/"),
    )
    assert (card.task, card.sha256) == ("detection" if tag == "strong" else "backbone", None)
    assert [score.value for score in card.scores] == ([score] if tag == "strong" else [])
    assert (card.input is None) == (name == "fpasst_ssl")  # ImageNet's


@pytest.mark.parametrize("name", [name for name in RELEASED if CARDS[name].architecture not in TRANSFORMERS])
def test_a_released_card(name: str) -> None:
    card = CARDS[name]
    is_efficientat = not card.architecture.startswith("fmn")
    folder, file = EFFICIENT_AT if is_efficientat else EFFICIENT_SED, {"dymn20_as": "dymn20_as_mAP_493"}.get(name, name)
    assert (card.file, card.url, card.release) == (
        f"{file}.pt",
        f"{folder}{file}.pt",
        folder.rstrip("/").replace("/download/", "/tag/"),
    )
    if name in PUBLISHED:
        row = PUBLISHED[name]
        assert card.score is not None
        assert (card.params, card.score.metric, card.score.value) == (
            int(row["params"]),
            "PSDS1 macro",
            round(float(row["psds1"]) / 100, 4),
        )
        assert (card.score.clips, card.score.clips_in_part, card.score.num_classes) == (16_935, 16_996, 407)
    elif is_efficientat:
        assert name.startswith(f"{card.architecture}_")
        dynamic = {"dymn04_as": 0.45, "dymn10_as": 0.477, "dymn20_as": 0.491}
        score = int(name[-3:]) / 1000 if "mAP" in name else dynamic.get(name)
        assert (card.task, card.score.value if card.score else None) == ("tagging" if score else "backbone", score)
    else:
        assert card.score is not None
        assert (card.score.metric, card.score.value) == (
            "mAP",
            {"fmn04": 0.420, "fmn06": 0.437, "fmn10": 0.458, "fmn20": 0.474, "fmn30": 0.475}[card.architecture],
        )


@pytest.mark.parametrize("name", OWN)
def test_own_weights_are_those_of_the_card(name: str) -> None:
    card, model = CARDS[name], es.load_model(name)
    assert card.recipe
    assert card.input is not None
    assert card.score is not None
    assert card.score.manifest_hash is not None
    assert (model.provenance.task, model.provenance.clip_seconds, model.spec.classes) == (
        card.task,
        card.input.clip_seconds,
        tuple(SOUND_CLASSES),
    )
    is_tuned = bool(model.provenance.postprocessing)
    assert is_tuned == (card.task == "detection")
    assert [score.tuned is not None for score in card.scores] == [is_tuned] * len(card.scores)
    if is_tuned:
        tuned_on = model.provenance.postprocessing["notes"]["manifest_hash"]
        assert tuned_on not in [
            model.provenance.notes["manifest_hash"],
            *(score.manifest_hash for score in card.scores),
        ]
        assert any(tuned_on in line for line in card.recipe)
    with torch.inference_mode():
        output = model(model.frontend(torch.randn(1, 16_000 * 5)))
    assert all(torch.isfinite(logits).all() for logits in output)


def test_own_weights_take_ten_megabytes() -> None:
    assert sum(path.stat().st_size for path in (resource_folder("pretrained") / "weights").iterdir()) <= 10_000_000


def test_an_unknown_name_shows_the_nearest() -> None:
    with pytest.raises(
        CheckpointError, match=r"no released weights are called 'fmn10_stronk'; the nearest: fmn10_strong, "
    ):
        get_card("fmn10_stronk")


def test_provenance_of_a_file_that_says_nothing() -> None:
    for is_released, note in ((True, "released_as"), (False, "named_like")):
        provenance = provenance_of(CARDS["fmn10_weak"], is_released=is_released)
        assert (provenance.task, provenance.clip_seconds, provenance.notes[note]) == ("tagging", 10, "fmn10_weak")


# --- finding weights ---

AWAY = Card("away_x", "fmn04", "away.pt", "tagging", "Nowhere.", "MIT", 1, 1, url="http://127.0.0.1:9/away.pt")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that is not there yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(folder))
    return folder


@pytest.fixture
def fetched(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were downloaded; every file holds the same."""
    addresses: list[str] = []

    def download(url: str, path: Path, _: str | None) -> None:
        addresses.append(url)
        home.mkdir(exist_ok=True)
        path.write_bytes(b"weights")

    monkeypatch.setattr(cards, "download", download)
    return addresses


def test_weights_are_fetched_once_and_their_checksum_is_kept(home: Path, fetched: list[str]) -> None:
    assert local_weights(AWAY) is None
    assert [find_weights(AWAY), find_weights(AWAY)] == [home / "away.pt"] * 2
    assert fetched == [AWAY.url]
    assert local_weights(AWAY) == home / "away.pt"
    assert not (home / "away.pt.sha256").exists()  # nobody has read the file yet
    record_checksum(AWAY, home / "away.pt")
    assert (home / "away.pt.sha256").read_text() == f"{hashlib.sha256(b'weights').hexdigest()}  away.pt\n"


def test_a_file_that_changed_since_it_was_first_seen_is_refused(fetched: list[str]) -> None:
    path = find_weights(AWAY)
    record_checksum(AWAY, path)
    path.write_bytes(b"other weights")
    record_checksum(AWAY, path)  # the first counts
    first, second = (hashlib.sha256(content).hexdigest()[:12] for content in (b"weights", b"other weights"))
    expected = (
        f"{path}: checksum {second}… is not {first}… of the first file; delete away.pt, "
        "or away.pt.sha256 if you replaced the file"
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(expected)}$"):
        find_weights(AWAY)
    path.unlink()
    assert find_weights(AWAY) == path
    assert len(fetched) == 2


def test_a_bad_first_file_does_not_lock_out_the_right_one(home: Path) -> None:
    card = CARDS["fmn04_strong"]
    home.mkdir()
    (home / card.file).write_text("<html>not found</html>")
    with pytest.raises(CheckpointError, match="web page"):
        es.load_model(card.name)
    model = es.create_model("fmn04", num_classes=447)
    torch.save(model.state_dict(), home / card.file)
    loaded = es.load_model(card.name)
    assert loaded.provenance.notes["released_as"] == card.name
    assert (home / f"{card.file}.sha256").is_file()
    torch.save(es.create_model("fmn04", num_classes=447).state_dict(), home / card.file)
    with pytest.raises(CheckpointError, match="of the first file"):
        es.load_model(card.name)
    by_path = es.load_model(str(home / card.file))
    assert by_path.provenance.notes["named_like"] == card.name
    assert "released_as" not in by_path.provenance.notes


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize("text", ["", "no checksum", "ab" * 31])
def test_a_damaged_record_is_refused(home: Path, text: str) -> None:
    find_weights(AWAY)
    (home / "away.pt.sha256").write_text(text)
    with pytest.raises(CheckpointError, match=r"away\.pt\.sha256: not a checksum; delete it if you trust away\.pt$"):
        find_weights(AWAY)


@pytest.mark.usefixtures("fetched")
def test_a_known_checksum_needs_no_record(home: Path) -> None:
    known = dataclasses.replace(AWAY, sha256=hashlib.sha256(b"weights").hexdigest())
    assert find_weights(known) == home / "away.pt"
    assert not (home / "away.pt.sha256").exists()
    (home / "away.pt").write_bytes(b"something else")
    with pytest.raises(
        CheckpointError,
        match=(
            rf"checksum .* is not the card's {str(known.sha256)[:12]}…; "
            r"delete the file and type the same command again$"
        ),
    ):
        find_weights(known)


@pytest.mark.usefixtures("fetched")
def test_a_folder_without_permission_keeps_no_record(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, _: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(cards, "write_atomically", refuse)
    record_checksum(AWAY, find_weights(AWAY))
    assert caplog.messages == [
        f"{home}: the checksum of away.pt is not recorded (Permission denied), "
        "so that a later change will not be noticed"
    ]


def test_own_files_come_before_shipped_ones(home: Path) -> None:
    card = CARDS[SYNTHETIC_DETECTOR]
    assert local_weights(card) == resource_folder("pretrained") / "weights" / card.file
    home.mkdir()
    (home / card.file).write_bytes(b"something else")
    assert local_weights(card) == home / card.file
    with pytest.raises(CheckpointError, match="is not the card's"):
        es.load_model(SYNTHETIC_DETECTOR)


def test_without_a_network_it_says_which_file_goes_where(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "download", download.download)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(CheckpointError) as caught:
        find_weights(AWAY)
    message = str(caught.value)
    assert message.startswith("weights 'away_x' are not here: download failed (")
    assert f"put away.pt into {home} by hand (from {AWAY.url}); EFFICIENT_SED_HOME=DIR names another folder" in message
    assert "\n" not in message


def test_weights_that_nobody_releases(home: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"put away\.pt into {home}, or set EFFICIENT_SED_HOME"):
        find_weights(dataclasses.replace(AWAY, url=None))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "~/.cache/efficient_sed"),
        ("", "~/.cache/efficient_sed"),
        ("~/weights", "~/weights"),
        ("/weights", "/weights"),
    ],
)
def test_home(monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.delenv("EFFICIENT_SED_HOME")
    if value is not None:
        monkeypatch.setenv("EFFICIENT_SED_HOME", value)
    assert str(home_folder()) == expected.replace("~", "/somewhere")


def test_the_list_costs_no_torch() -> None:
    code = (
        "import sys; from efficient_sed.cli.main import main; "
        "main(['models']); main(['models', 'fmn10_weak']); print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        == "False"
    )
