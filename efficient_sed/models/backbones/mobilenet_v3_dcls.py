"""Frame-wise MobileNetV3 with learned positions in every depthwise convolution; see `models.dcls`."""

from __future__ import annotations

from dataclasses import dataclass

from efficient_sed.models.backbones.mobilenet_v3 import FmnConfig
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.dcls import DclsFields, replace_depthwise
from efficient_sed.registry import BACKBONES


@BACKBONES.register_family({"fmn04_dcls": {"width": 0.4}, "fmn10_dcls": {"width": 1.0}})
@dataclass(frozen=True)
class FmnDclsConfig(DclsFields, FmnConfig):
    """Frame-wise MobileNetV3 of one width, with learned positions."""

    def build(self) -> Backbone:
        """The network; kernels end where the map ends, which falls from 64 bins to 2."""
        return replace_depthwise(
            super().build(), self.kernel_count, self.dilated_size, self.version, larger_than_map="crop"
        )
