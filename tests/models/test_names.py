"""Names of models: parsed, composed again, and turned into options."""

from __future__ import annotations

import pytest

from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.models.names import architecture_name, model_name, model_overrides, parse_name
from efficient_sed.models.systems import SYSTEMS
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS


@pytest.mark.parametrize(
    ("name", "backbone", "head", "hidden", "tag"),
    [
        ("fmn10", "fmn10", "none", None, None),
        ("fmn10_weak", "fmn10", "none", None, "weak"),
        ("fmn10_dcls", "fmn10_dcls", "none", None, None),
        ("fmn10_dcls_mine", "fmn10_dcls", "none", None, "mine"),
        ("fmn04+hybrid-104", "fmn04", "hybrid", 104, None),
        ("fmn10+tf-256_advanced-kd-weak-strong", "fmn10", "tf", 256, "advanced-kd-weak-strong"),
        ("convnext_tiny_dcls_frame+gru-8", "convnext_tiny_dcls_frame", "gru", 8, None),
        ("dnd-base", "crnn_cnn", "causalgru", 256, None),
        ("dnd-dnd-k7-d10_mine", "crnn_dws", "dilated", 256, "mine"),
    ],
)
def test_parts(name: str, backbone: str, head: str, hidden: int | None, tag: str | None) -> None:
    parsed = parse_name(name)
    assert (parsed.backbone.name, parsed.seq.name, parsed.tag) == (backbone, head, tag)
    assert getattr(parsed.seq, "hidden", None) == hidden
    assert parsed.architecture == (name if tag is None else name.removesuffix(f"_{tag}"))


def test_options_give_the_same_parts() -> None:
    names = ["fmn10", "fmn04+tf-128", *SYSTEMS]
    assert len(names) > 40
    for name in names:
        config = compose_run([*model_overrides(name), "train.augment.mel_jitter=false"])
        parsed = parse_name(name)
        assert (config.backbone, config.seq) == (parsed.backbone, parsed.seq)
        assert parse_name(model_name(config))[:2] == parsed[:2]


def test_weights_are_no_architecture() -> None:
    with pytest.raises(ConfigError, match=r"^model=fmn10_weak names trained weights; .*, model=fmn10$"):
        model_overrides("fmn10_weak")


def test_a_system_by_its_excerpts() -> None:
    """Several systems of ERANN differ only in the length of the excerpts that they are trained on."""
    parsed = parse_name("erann-8x4-6")
    names = {seconds: architecture_name(parsed.backbone, parsed.seq, seconds) for seconds in (None, 8.0, 3.0, 7.0)}
    assert names == {None: "erann-8x4-6", 8.0: "erann-8x4-6", 3.0: "erann-3x4-6", 7.0: "erann"}


def test_other_options_make_no_system() -> None:
    backbone = BACKBONES.get("erann")(width=7)  # type: ignore[call-arg]
    assert architecture_name(backbone, SEQUENCE_HEADS.get("none")()) == "erann"
