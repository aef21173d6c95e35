"""What timm trained on ImageNet, in our names: a start for MobileNetV3 and for the vision networks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from efficient_sed.errors import CheckpointError
from efficient_sed.models.backbones.timm_vision import VisionBackbone
from efficient_sed.models.contracts import Positioned
from efficient_sed.registry import BACKBONES

_MOBILENET_KEY, _VISION_KEY = "conv_stem.weight", "stages.0."
_START = {"conv_stem": "features.0.0", "bn1": "features.0.1"}
_DEPTHWISE = {"conv_dw": "block.0.0", "bn1": "block.0.1", "conv_pw": "block.1.0", "bn2": "block.1.1"}
_INVERTED = {
    "conv_pw": "block.0.0",
    "bn1": "block.0.1",
    "conv_dw": "block.1.0",
    "bn2": "block.1.1",
    "conv_pwl": "block.2.0",
    "bn3": "block.2.1",
}
_GATED = _INVERTED | {
    "se.conv_reduce": "block.2.fc1",
    "se.conv_expand": "block.2.fc2",
    "conv_pwl": "block.3.0",
    "bn3": "block.3.1",
}
_LAST = {"conv": "0", "bn1": "1"}


def timm_holder(name: str) -> str | None:
    """The plain backbone that a name of timm's stands for, None for a name that is not known here."""
    held = {
        entry.timm_name.split(".")[0]: backbone
        for backbone in reversed(BACKBONES.names())
        if (entry := BACKBONES.get(backbone)).timm_name is not None
    }
    return held.get(name)


def fetch_from_timm(init: str, name: str) -> dict[str, Tensor]:
    """State dict of a network with the weights that its full name says, from timm's cache or the network.

    Raises:
        CheckpointError: If timm cannot get it; the message says where to put the file by hand.
    """
    try:
        import timm

        state: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    except (
        Exception
    ) as error:  # no network, no such host, a full disk, a damaged cache: each library below raises its own
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        page = f"https://huggingface.co/timm/{name}"
        raise CheckpointError(
            f"backbone.init={init}: timm could not fetch it ({reason}); "
            f"download model.safetensors from {page} and give its path as backbone.init=FILE"
        ) from error
    return state


def is_of_timm(state: Mapping[str, Tensor]) -> bool:
    """Whether these keys are those of timm's MobileNetV3 or of one of its networks in stages."""
    return _MOBILENET_KEY in state or any(key.startswith(_VISION_KEY) for key in state)


def rename_timm(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Backbone tensors in our names behind `backbone.`, the others in timm's.

    And what does not carry over, in words.
    """
    if _MOBILENET_KEY in state:
        return _rename_mobilenet(state), [
            "its gates were trained as hard sigmoids and its BatchNorm with eps 1e-5, here they are sigmoids and 1e-3"
        ]
    num_stages = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("stages."))
    parts = {"stem": "stem", "stages": "layers", "final_conv": f"layers.{num_stages}"}
    split = {key: key.partition(".") for key in state}
    return {
        f"backbone.{parts[part]}.{rest}" if part in parts else key: state[key] for key, (part, _, rest) in split.items()
    }, []


def adapt_vision(module: VisionBackbone, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors of a vision network fitted to ours, and the keys that keep the module's own values.

    Those are the stem's convolution, which is another one here, and layers with learned positions. A patch of 2 x 2
    that is 2 x 1 here is summed over time.
    """
    own = module.state_dict()
    replaced = {name for name, part in module.named_modules() if isinstance(part, Positioned)} | {
        _first_convolution(module)
    }
    fresh = sorted(key for key in own if key.rpartition(".")[0] in replaced)
    fitted = {
        key: value
        for key, value in tensors.items()
        if key.rpartition(".")[0] not in replaced and (key in own or not key.startswith("stem."))
    }
    for key, value in fitted.items():
        if key in own and value.ndim == 4 and value.shape[2:] == (2, 2) and own[key].shape[2:] == (2, 1):
            fitted[key] = value.sum(-1, keepdim=True)
    return fitted | {key: own[key] for key in fresh}, fresh


def _first_convolution(module: VisionBackbone) -> str:
    name: str = next(name for name, part in module.named_modules() if isinstance(part, nn.Conv2d))
    return name


def _rename_mobilenet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """It nests blocks by resolution, we count them from 1 to 16; its gates are 1x1 convolutions."""
    blocks: dict[tuple[int, int], dict[tuple[str, str], Tensor]] = {}
    renamed = {}
    for key, value in state.items():
        if match := re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)", key):
            blocks.setdefault((int(match[1]), int(match[2])), {})[match[3], match[4]] = value
        else:
            module, _, leaf = key.partition(".")
            renamed[f"backbone.{_START[module]}.{leaf}" if module in _START else key] = value
    for index, place in enumerate(sorted(blocks), start=1):
        modules = {module for module, _ in blocks[place]}
        names = (
            _LAST
            if "conv" in modules
            else _DEPTHWISE
            if "conv_pwl" not in modules
            else _GATED
            if "se.conv_reduce" in modules
            else _INVERTED
        )
        for (module, leaf), value in blocks[place].items():
            is_gate = module.startswith("se.") and leaf == "weight"
            renamed[f"backbone.features.{index}.{names.get(module, module)}.{leaf}"] = (
                value.flatten(1) if is_gate else value
            )
    return renamed
