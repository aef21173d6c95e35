"""Every card's weights are here, are what the card says, and work."""

import json
from pathlib import Path

import pytest
import torch

import efficient_sed as es
from efficient_sed.data.synthetic import SOUND_CLASSES
from efficient_sed.errors import CheckpointError
from efficient_sed.models import _cards
from efficient_sed.models._cards import DEFAULT_DETECTOR, Card, find_weights, list_cards

ROOT = Path(__file__).parents[2]
NAMES = sorted(list_cards())


def test_three_cards_within_ten_megabytes() -> None:
    assert {"fmn04_synthetic", "fmn10_synthetic", DEFAULT_DETECTOR} <= set(NAMES)
    assert sum(path.stat().st_size for path in (ROOT / "pretrained" / "weights").iterdir()) <= 10_000_000


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_those_of_the_card(name: str) -> None:
    card, model = list_cards()[name], es.load_model(name)
    assert card.recipe
    assert card.metrics
    assert (model.provenance.task, model.spec.classes) == (card.task, tuple(SOUND_CLASSES))
    with torch.inference_mode():
        output = model(model.frontend(torch.randn(1, 16_000 * 5)))
    assert all(torch.isfinite(logits).all() for logits in output)


def test_a_changed_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / list_cards()[NAMES[0]].file).write_bytes(b"something else")
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match="checksum"):
        es.load_model(NAMES[0])


def test_missing_weights_say_where_to_put_them() -> None:
    with pytest.raises(CheckpointError, match=r"put away\.safetensors into .*weights"):
        find_weights(Card("away_x", "fmn04", "away.safetensors", "tagging", "nowhere"))


def test_cards_are_named_like_their_files() -> None:
    for path in _cards.resource_folder("pretrained").glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["name"] == path.stem
