"""Scores against cards: what compares, what passes, what the command says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.data.events import Splits
from efficient_sed.data.labels import audioset_labels
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.data.sounds import SOUND_CLASSES
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.experiment import verify
from efficient_sed.experiment.verify import DataFacts, Outcome, choose_score, data_facts, judge, why_not_comparable
from efficient_sed.models.weights.cards import SYNTHETIC_DETECTOR, Card, list_cards

CARDS = list_cards()
STRONG, WEAK, OWN = CARDS["fmn10+tf-256_strong"], CARDS["fmn10_weak"], CARDS[SYNTHETIC_DETECTOR]
LABELS = frozenset(audioset_labels("strong"))
SOME = frozenset(sorted(LABELS)[:407])
SOUNDS = frozenset(SOUND_CLASSES)
HASHES = list(dict.fromkeys(score.manifest_hash for score in OWN.scores))

COMPARABLE = [
    (STRONG, DataFacts(LABELS, SOME, 16_935), None),
    (STRONG, DataFacts(SOME, frozenset(sorted(SOME)[:367]), 15_297), None),
    (
        STRONG,
        DataFacts(LABELS, SOME, 15_296),
        "the test part has 15,296 clips, the published one has 16,996: at least 90% of them are needed",
    ),
    (STRONG, DataFacts(LABELS, SOME, 103_463), "the test part has 103,463 clips, the published one has 16,996"),
    (
        STRONG,
        DataFacts(LABELS, frozenset(sorted(SOME)[:366]), 16_935),
        "366 classes occur in the test part, the published mean is over 407",
    ),
    (
        STRONG,
        DataFacts(LABELS | {"hum", "beep"}, SOME, 16_935),
        "2 labels of the data are not among the model's 447 classes, first 'beep'",
    ),
    (STRONG, DataFacts(SOUNDS, SOUNDS, 200), "labels of the data are not among the model's 447 classes"),
    (WEAK, DataFacts(LABELS, SOME, 16_935), "the published mAP comes without a number of clips"),
    (OWN, DataFacts(SOUNDS, SOUNDS, 200, HASHES[0]), None),
    (OWN, DataFacts(SOUNDS, SOUNDS, 200, HASHES[1]), None),
    (OWN, DataFacts(SOUNDS, SOUNDS, 200, "cafe"), f"the data have hash cafe, the card's score belongs to {HASHES[0]}"),
    (OWN, DataFacts(SOUNDS, SOUNDS, 199, HASHES[0]), "199 clips could be read of 200"),
]


@pytest.mark.parametrize(
    ("card", "facts", "reason"), COMPARABLE, ids=[f"{row[0].name}: {row[2]}" for row in COMPARABLE]
)
def test_what_compares(card: Card, facts: DataFacts, reason: str | None) -> None:
    found = why_not_comparable(card, choose_score(card, facts), facts)
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


def test_the_score_of_these_very_data_is_chosen() -> None:
    assert [choose_score(OWN, DataFacts(SOUNDS, SOUNDS, 200, found)).value for found in (*HASHES, None)] == [
        0.59,
        0.566,
        0.59,
    ]


@pytest.mark.parametrize(
    ("measured", "tolerance", "outcome"),
    [(0.4386, 0.0, Outcome.PASS), (0.4436, 0.005, Outcome.PASS), (0.4336, 0.005, Outcome.PASS),
     (0.4437, 0.005, Outcome.FAIL), (0.4335, 0.005, Outcome.FAIL),
     (float("nan"), 0.005, Outcome.FAIL), (0.43, 0.0, Outcome.FAIL)],
)  # fmt: skip
def test_outcomes(measured: float, tolerance: float, outcome: Outcome) -> None:
    assert STRONG.score is not None
    facts = DataFacts(LABELS, SOME, 16_000)
    verdict = judge(STRONG, STRONG.score, facts, tolerance, {"PSDS1 macro": measured}, None)
    assert verdict.outcome is outcome
    assert (verdict.clips_found, verdict.clips_expected, verdict.classes_in_common, verdict.classes_expected) == (
        16_000,
        16_996,
        407,
        407,
    )
    assert verdict.lines()[0] == f"fmn10+tf-256_strong: {outcome}"
    other = judge(STRONG, STRONG.score, facts, tolerance, {"PSDS1 macro": measured}, "other data")
    assert other.outcome is Outcome.NOT_COMPARABLE


@pytest.mark.parametrize("wrong", [None, "PSDS1 macro", "PSDS1 macro tuned", "event F1 macro", "event F1 macro tuned"])
def test_every_score_of_the_same_data_is_compared(wrong: str | None) -> None:
    assert OWN.score is not None
    expected = OWN.values_beside(OWN.score)
    assert list(expected) == ["PSDS1 macro", "PSDS1 macro tuned", "event F1 macro", "event F1 macro tuned"]
    measured = {metric: value - 0.006 * (metric == wrong) for metric, value in expected.items()}
    verdict = judge(OWN, OWN.score, DataFacts(SOUNDS, SOUNDS, 200, HASHES[0]), 0.005, measured, None)
    assert verdict.outcome is (Outcome.PASS if wrong is None else Outcome.FAIL)
    lines = [line for line in verdict.lines() if "on the card" in line]
    assert [line.split(":")[0].strip() for line in lines] == list(expected)
    assert ["-0.0060" in line for line in lines] == [metric == wrong for metric in expected]


def test_facts_of_a_data_set(tiny_data: Splits) -> None:
    facts = data_facts(tiny_data, has_hash=True)
    assert (facts.classes, facts.num_clips, facts.manifest_hash) == (SOUNDS, 4, tiny_data.manifest_hash)
    assert facts.occurring == {event.label for clip in tiny_data.test for event in clip.events}
    assert data_facts(tiny_data, has_hash=False).manifest_hash is None


@pytest.fixture
def tiny(tiny_config: SyntheticConfig) -> list[str]:
    """Overrides that give the tiny data set."""
    return [
        f"data.root={tiny_config.root}",
        *["data.num_train=8", "data.num_validation=4", "data.num_test=4", "data.scene_seconds=3", "data.num_workers=0"],
    ]


def test_end_to_end(
    tiny: list[str], tiny_data: Splits, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert OWN.score is not None
    command = ["verify", OWN.name, "--data", "synthetic", "--json", *tiny]
    assert main(command) == 3
    other = json.loads(capsys.readouterr().out)
    assert (other["outcome"], other["measured"], other["clips_found"]) == ("not comparable", None, 4)

    card = replace(
        OWN,
        scores=tuple(
            replace(score, value=1.0, manifest_hash=tiny_data.manifest_hash, clips=4, clips_in_part=4)
            for score in OWN.scores[:2]
        ),
    )
    monkeypatch.setattr(verify, "get_card", lambda _: card)
    assert main(command) == 1
    failed = json.loads(capsys.readouterr().out)
    assert failed["outcome"] == "fail"
    assert 0 < failed["measured"] < 1

    found = {compared["metric"]: round(compared["measured"], 3) for compared in failed["scores"]}
    card = replace(
        card,
        scores=tuple(
            replace(score, value=found[score.metric], tuned=found[f"{score.metric} tuned"]) for score in card.scores
        ),
    )
    assert main([word for word in command if word != "--json"]) == 0
    assert capsys.readouterr().out.startswith(f"{OWN.name}: pass\n  PSDS1 macro: {failed['measured']:.4f} here, ")


def test_weights_are_not_fetched_for_data_that_do_not_compare(
    tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "fmn10_strong", "--data", "synthetic", *tiny]) == 3
    assert "not comparable: 16 labels of the data are not among the model's 447 classes" in capsys.readouterr().out


def test_a_released_file_on_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    renamed = {"backbone": "net.model", "classifier.strong": "net.strong_head", "classifier.weak": "net.weak_head"}
    state = {
        re.sub("^(backbone|classifier.strong|classifier.weak)", lambda match: renamed[match[0]], key): value
        for key, value in es.create_model("fmn04", 447).state_dict().items()
    }
    torch.save(state, tmp_path / "fmn04_strong.pt")
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(tmp_path))
    for part in ("train", "validation", "test"):
        soundfile.write(tmp_path / f"{part}.wav", np.random.default_rng(0).normal(size=16_000) * 0.1, 16_000)
        (tmp_path / f"{part}.tsv").write_text(f"filename\tonset\toffset\tevent_label\n{part}.wav\t0.1\t0.9\tBark\n")
    command = ["verify", "fmn04_strong", "--data", str(tmp_path), "data.audio=.", "data.num_workers=0"]
    assert main(command) == 3
    assert "not comparable: the test part has 1 clips, the published one has 16,996" in capsys.readouterr().out

    card = CARDS["fmn04_strong"]
    assert card.score is not None
    card = replace(card, scores=(replace(card.score, clips_in_part=1, num_classes=1),))
    monkeypatch.setattr(verify, "get_card", lambda _: card)
    assert main([*command, "--tolerance", "1"]) == 0
    assert "clips: 1 of 1; classes: 1 of 1" in capsys.readouterr().out
    assert main([*command, "--tolerance", "0"]) == 1


BAD = [
    (
        "fmn10_stronk",
        "synthetic",
        [],
        0.005,
        "no released weights are called 'fmn10_stronk'; the nearest: fmn10_strong",
    ),
    (
        "file.safetensors",
        "synthetic",
        [],
        0.005,
        "`efficient-sed evaluate file.safetensors data=synthetic` scores a file of yours",
    ),
    ("mn10_im", "synthetic", [], 0.005, "mn10_im is a starting point for training (backbone.init=mn10_im)"),
    (
        "fmn10_strong",
        "sythetic",
        [],
        0.005,
        "--data sythetic: neither a directory nor a data set; did you mean 'synthetic'?",
    ),
    (
        "fmn10_strong",
        "synthetic",
        ["evaluation.dtc=0.5"],
        0.005,
        "evaluation.dtc=0.5: verify scores as the card was scored",
    ),
    (
        "fmn10_strong",
        "synthetic",
        ["data.median_frames=9"],
        0.005,
        "data.median_frames=9: verify scores as the card was scored",
    ),
    ("fmn10_strong", "synthetic", ["data=folder"], 0.005, "data=folder: verify scores as the card was scored"),
    ("fmn10_strong", "{d}", ["data.root=x"], 0.005, "data.root=x: --data {d} names the folder already"),
    ("fmn10_strong", "synthetic", [], -1.0, "--tolerance -1 is not allowed: 0 or more"),
    ("fmn10_strong", "synthetic", [], float("nan"), "--tolerance nan is not allowed: 0 or more"),
]


@pytest.mark.parametrize(("name", "data", "overrides", "tolerance", "words"), BAD, ids=[row[4] for row in BAD])
def test_mistakes(tmp_path: Path, name: str, data: str, overrides: list[str], tolerance: float, words: str) -> None:
    with pytest.raises((CheckpointError, ConfigError)) as caught:
        verify.verify_model(name, data.format(d=tmp_path), overrides, tolerance)
    assert words.format(d=tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
