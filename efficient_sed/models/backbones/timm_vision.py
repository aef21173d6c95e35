"""Vision networks of timm on spectrograms, as in DCLS-Audio: ConvNeXt-T, ConvFormer-S18 and FastViT-SA24.

Liu et al., "A ConvNet for the 2020s", CVPR 2022 (https://arxiv.org/abs/2201.03545); Yu et al., "MetaFormer baselines
for vision", 2022 (https://arxiv.org/abs/2210.13452); Vasu et al., "FastViT", ICCV 2023
(https://arxiv.org/abs/2303.14189). Changed as by Khalfaoui-Hassani et al., "Audio classification with Dilated
Convolution with Learnable Spacings", 2023 (https://arxiv.org/abs/2309.13972), section 3.1: one input channel, the
stem's convolutions replaced by one of kernel and stride (2, 16), its norm kept. `_dcls`: every depthwise 7x7
convolution with learned positions. `_frame` is ours: a stem of (8, 4), as many weights, and strides in frequency alone
after it, so that a step lasts four frames of 10 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from efficient_sed.audio.frontends.dcls import MEL_BINS, DecibelMel
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.config.model import BackboneConfig
from efficient_sed.errors import require
from efficient_sed.models.backbones._initialise import init_linear
from efficient_sed.models.contracts import Backbone, Classifier, SedOutput, check_mel
from efficient_sed.models.dcls import DclsFields, replace_depthwise
from efficient_sed.models.fuse import FusedConv2d, Fusible, fuse_layers
from efficient_sed.registry import BACKBONES

PATCH, FRAME_PATCH = (2, 16), (8, 4)
DOWNSAMPLING = 8  # of the three later stages together
REPLACED_KERNEL = 7


class VisionBackbone(Backbone):
    """Spectrogram (batch, 1, 128, frames) -> features (batch, steps, dim), averaged over frequency.

    Args:
        stem: Spectrogram to patches.
        layers: What follows, from input to output.
        out_dim: Channels of the last one.
        time_stride: Frames per step.
        first_step_frames: Frames that the first step needs.
    """

    has_chained_stages = True

    def __init__(
        self, stem: nn.Module, layers: list[nn.Module], out_dim: int, time_stride: int, first_step_frames: int
    ) -> None:
        super().__init__()
        self.stem, self.layers = stem, nn.ModuleList(layers)
        self.out_dim, self.time_stride, self.first_step_frames = out_dim, time_stride, first_step_frames

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim)."""
        check_mel(mel, "this backbone", MEL_BINS, self.first_step_frames)
        x: Tensor = self.stem(mel)  # (B, C, 64, T / 16) or (B, C, 16, T / 4)
        for layer in self.layers:
            x = layer(x)
        return x.mean(2).transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        """See `contracts.Backbone`."""
        return [self.stem, *self.layers]


class FastVitBackbone(VisionBackbone):
    """One that can merge its parallel branches for inference."""

    def fused(self) -> nn.Module:
        """Branches merged by timm's own re-parameterisation, once learned positions have become dense kernels."""
        for module in self.modules():
            for name, child in module.named_children():
                if isinstance(child, Fusible):
                    setattr(module, name, child.fused())
        for child in self.children():
            _merge_branches(child)
        for module in list(self.modules()):
            for name, child in module.named_children():
                if type(child).__name__ == "ConvNormAct":  # without activation in this network
                    conv = FusedConv2d(child.conv)  # type: ignore[arg-type]
                    conv.fold(child.bn)  # type: ignore[arg-type]
                    setattr(module, name, conv)
        for name, child in self.named_children():
            setattr(self, name, fuse_layers(child))
        return self


def _merge_branches(module: Any) -> None:
    """Re-parameterise what timm can.

    That is the position encoding, and blocks whose convolutions still have the size that they were made with.
    """
    for child in module.children():
        if hasattr(child, "pos_enc"):
            padding, child.spatial_shape = child.pos_enc.padding, child.pos_enc.kernel_size
            child.reparameterize()
            child.reparam_conv.padding = padding  # timm's is that of a square
        elif hasattr(child, "reparameterize") and all(
            size in (1, 3, child.kernel_size) for conv in _convolutions(child) for size in conv.kernel_size
        ):
            child.reparameterize()
        else:
            _merge_branches(child)


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [conv for conv in module.modules() if isinstance(conv, nn.Conv2d)]


class PooledClassifier(Classifier):
    """The published tagging head: a norm and layers.

    They read the mean over time for the clip, and each step for the frames.
    """

    def __init__(self, norm: nn.Module, layers: nn.Module) -> None:
        super().__init__()
        self.norm, self.layers = norm, layers
        init_linear(self)

    def forward(self, features: Tensor) -> SedOutput:
        """Features (batch, time, in_dim) to logits."""
        frame_logits: Tensor = self.layers(self.norm(features))
        clip_logits: Tensor = self.layers(self.norm(features.mean(1)))
        return SedOutput(frame_logits.transpose(1, 2), clip_logits)


def _convolution(channels_in: int, channels_out: int, size: tuple[int, int], has_bias: bool) -> nn.Conv2d:
    """One whose kernels lie side by side."""
    conv = nn.Conv2d(channels_in, channels_out, size, size, bias=has_bias)
    init_linear(conv)
    return conv


def _create(name: str, drop_path: float) -> Any:
    import timm

    return timm.create_model(name, in_chans=1, num_classes=0, drop_path_rate=drop_path)


def _convnext_tiny(is_framewise: bool, drop_path: float) -> VisionBackbone:
    net = _create("convnext_tiny", drop_path)
    net.stem[0] = _convolution(1, net.stem[0].out_channels, FRAME_PATCH if is_framewise else PATCH, has_bias=True)
    if is_framewise:
        for stage in net.stages[1:]:
            conv = stage.downsample[1]
            stage.downsample[1] = _convolution(conv.in_channels, conv.out_channels, (2, 1), has_bias=True)
    return _backbone(VisionBackbone, net.stem, list(net.stages), net.num_features, is_framewise, drops_rest=True)


def _convformer_s18(is_framewise: bool, drop_path: float) -> VisionBackbone:
    net = _create("convformer_s18", drop_path)
    net.stem.conv = _convolution(1, net.stem.conv.out_channels, FRAME_PATCH if is_framewise else PATCH, has_bias=False)
    if is_framewise:
        for stage in net.stages[1:]:
            stage.downsample.conv.stride = (2, 1)
    return _backbone(VisionBackbone, net.stem, list(net.stages), net.num_features, is_framewise)


def _fastvit_sa24(is_framewise: bool, drop_path: float) -> VisionBackbone:
    net = _create("fastvit_sa24", drop_path)
    stem = _convolution(1, net.stem[0].out_chs, FRAME_PATCH if is_framewise else PATCH, has_bias=False)
    if is_framewise:
        for stage in net.stages[1:]:
            large_kernel = stage.downsample.proj[0]
            for module in (large_kernel, large_kernel.large_conv.conv, large_kernel.small_conv.conv):
                module.stride = (2, 1)
    return _backbone(FastVitBackbone, stem, [*net.stages, net.final_conv], net.num_features, is_framewise)


def _backbone(
    cls: type[VisionBackbone],
    stem: nn.Module,
    layers: list[nn.Module],
    out_dim: int,
    is_framewise: bool,
    drops_rest: bool = False,
) -> VisionBackbone:
    """`drops_rest`: whether patches that do not fill one of a later stage are dropped rather than padded."""
    if is_framewise:
        return cls(stem, layers, out_dim, time_stride=FRAME_PATCH[1], first_step_frames=FRAME_PATCH[1])
    time_stride = PATCH[1] * DOWNSAMPLING
    return cls(stem, layers, out_dim, time_stride, time_stride if drops_rest else PATCH[1])


def _normed_linear(num_classes: int, dim: int) -> PooledClassifier:
    return PooledClassifier(nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, num_classes))


def _normed_mlp(num_classes: int, dim: int) -> PooledClassifier:
    from timm.models.metaformer import MlpHead

    return PooledClassifier(nn.LayerNorm(dim, eps=1e-6), MlpHead(dim, num_classes))


def _linear(num_classes: int, dim: int) -> PooledClassifier:
    return PooledClassifier(nn.Identity(), nn.Linear(dim, num_classes))


class _Network(NamedTuple):
    build: Callable[[bool, float], VisionBackbone]
    build_classifier: Callable[[int, int], PooledClassifier]
    out_dim: int
    timm_name: str


NETWORKS = {
    "convnext_tiny": _Network(_convnext_tiny, _normed_linear, 768, "convnext_tiny.fb_in1k"),
    "convformer_s18": _Network(_convformer_s18, _normed_mlp, 512, "convformer_s18.sail_in1k"),
    "fastvit_sa24": _Network(_fastvit_sa24, _linear, 1024, "fastvit_sa24.apple_in1k"),
}


def _family(middle: str) -> dict[str, dict[str, Any]]:
    """Class attributes by registered name: each network with the published strides, and frame-wise."""
    return {
        f"{name}{middle}{ending}": {"network": name, "timm_name": network.timm_name, "is_framewise": bool(ending)}
        for name, network in NETWORKS.items()
        for ending in ("", "_frame")
    }


@BACKBONES.register_family(_family(""))
@dataclass(frozen=True)
class VisionConfig(BackboneConfig):
    """Options of this backbone."""

    has_mel_jitter: ClassVar[bool] = False
    network: ClassVar[str]
    is_framewise: ClassVar[bool]

    drop_path: float = 0.4
    """Share of clips for which the last block's branch is left out in training.

    It rises to this from 0 at the first block.
    """

    def __post_init__(self) -> None:
        require(0 <= self.drop_path < 1, "backbone.drop_path", self.drop_path, "0 to below 1")

    def build(self) -> Backbone:
        """The network, with random weights."""
        return NETWORKS[self.network].build(self.is_framewise, self.drop_path)

    def build_frontend(self) -> FrontEnd:
        """The front end whose spectrograms the network takes."""
        return DecibelMel()

    def build_classifier(self, num_classes: int) -> Classifier:
        """The network's own classifier, for models without a sequence head."""
        network = NETWORKS[self.network]
        return network.build_classifier(num_classes, network.out_dim)


@BACKBONES.register_family(_family("_dcls"))
@dataclass(frozen=True)
class DclsVisionConfig(DclsFields, VisionConfig):
    """Options of this backbone."""

    def __post_init__(self) -> None:
        DclsFields.__post_init__(self)
        VisionConfig.__post_init__(self)

    def build(self) -> Backbone:
        """The published kernels reach out of the last stage's map of 8 x 7.

        Those of `_frame` end where 16 to 2 bins end.
        """
        backbone = VisionConfig.build(self)
        return replace_depthwise(
            backbone,
            self.kernel_count,
            self.dilated_size,
            self.version,
            (REPLACED_KERNEL,),
            "crop" if self.is_framewise else "keep",
        )
