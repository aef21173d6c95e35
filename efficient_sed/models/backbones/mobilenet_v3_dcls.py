"""Frame-wise MobileNetV3 with learned positions in every depthwise convolution: see `mobilenet_v3` and `models.dcls`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from efficient_sed.models.backbones.mobilenet_v3 import FmnConfig
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.dcls import DclsFields, replace_depthwise
from efficient_sed.registry import BACKBONES


class FmnDclsConfig(DclsFields, FmnConfig):
    def build(self) -> Backbone:
        """Kernels end where the map ends, which falls from 64 bins to 2."""
        return replace_depthwise(
            super().build(), self.kernel_count, self.dilated_size, self.version, larger_than_map="crop"
        )


@BACKBONES.register("fmn04_dcls")
@dataclass(frozen=True)
class Fmn04DclsConfig(FmnDclsConfig):
    width: ClassVar[float] = 0.4


@BACKBONES.register("fmn10_dcls")
@dataclass(frozen=True)
class Fmn10DclsConfig(FmnDclsConfig):
    width: ClassVar[float] = 1.0
