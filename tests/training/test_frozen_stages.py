import copy

import pytest
import torch

from efficient_sed.errors import ConfigError
from efficient_sed.models.factory import create_model, settle_norms
from efficient_sed.registry import BACKBONES
from efficient_sed.training.frozen_stages import FrozenStages

MEL = torch.randn(5, 1, 128, 80)


@pytest.mark.parametrize("num_stages", [1, 4, 16, None])
def test_frozen_stages_run_fused_and_give_the_same(num_stages: int | None) -> None:
    model = settle_norms(create_model("fmn04", num_classes=3))
    reference = copy.deepcopy(model).eval()(MEL).frame_logits
    frozen = FrozenStages(model.backbone, num_stages)
    frozen.eval()
    model.eval()
    frozen.start()
    try:
        torch.testing.assert_close(model(MEL).frame_logits, reference, rtol=1e-3, atol=1e-5)
        model(MEL).frame_logits.sum().backward()
    finally:
        frozen.stop()
    trained = [any(p.grad is not None for p in stage.parameters()) for stage in model.backbone.stages()]
    count = len(trained) if num_stages is None else num_stages
    assert trained == [False] * count + [True] * (len(trained) - count)
    torch.testing.assert_close(model(MEL).frame_logits, reference, rtol=1e-3, atol=1e-5)
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_start_takes_the_weights_of_that_moment() -> None:
    model = settle_norms(create_model("fmn04", num_classes=3)).eval()
    frozen = FrozenStages(model.backbone, 3)
    frozen.start()
    before = model(MEL).frame_logits
    with torch.no_grad():
        model.backbone.stages()[0][0].weight.mul_(1.5)
    frozen.stop()
    frozen.start()
    assert not torch.allclose(model(MEL).frame_logits, before)
    frozen.stop()


def test_every_small_backbone_can_be_frozen_in_part() -> None:
    names = [name for name in BACKBONES.names() if name in ("fmn04", "crnn_cnn", "crnn_dws", "erann1", "mn04")]
    assert len(names) >= 3
    for name in names:
        backbone = BACKBONES.get(name)().build()
        mel = torch.randn(2, 1, 40 if name.startswith("crnn") else 128, 64)
        backbone.eval()
        expected = backbone(mel)
        frozen = FrozenStages(backbone, 1)
        frozen.start()
        torch.testing.assert_close(backbone(mel), expected, rtol=1e-3, atol=1e-4)
        frozen.stop()


def test_too_many_stages_are_an_error() -> None:
    backbone = create_model("fmn04", num_classes=3).backbone
    with pytest.raises(ConfigError, match=r"train\.frozen_stages=17 is not allowed: fewer than this backbone's 17"):
        FrozenStages(backbone, 17)
