"""BatchNorm over the clips of all processes, so that a training does not depend on how many share its batches."""

from __future__ import annotations

import torch
from pytorch_lightning.plugins.layer_sync import LayerSync
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce


class SharedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d for CPUs with mean and variance over the batches of all processes, whatever their sizes.

    Torch's own SyncBatchNorm runs on GPUs alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, shape (batch, channels, height, width)."""
        if not self.training:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean, variance, count = _statistics(wide)
        if (
            self.running_mean is not None
            and self.running_var is not None
            and self.num_batches_tracked is not None
            and self.momentum is not None
        ):
            with torch.no_grad():  # the count comes from a sum over processes, which has a gradient
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = torch.rsqrt(variance + self.eps) * self.weight
        shift = self.bias - mean * scale
        return torch.addcmul(shift[:, None, None], wide, scale[:, None, None]).to(x.dtype)


class SharedBatchNormAct2d(SharedBatchNorm2d):
    """The same with the activation that timm's networks have in it."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and activate x, shape (batch, channels, height, width)."""
        normalised: Tensor = self.act(self.drop(super().forward(x)))
        return normalised


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Statistics over all processes of x, shape (batch, channels, height, width).

    Returns:
        Mean and biased variance, shape (channels,), and the number of values that they are taken of.
    """
    channels = x.shape[1]
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    # a row of each process: their sum gathers, and has a gradient on gloo
    rows = x.new_zeros(distributed.get_world_size(), 2 * channels + 1)
    rows[distributed.get_rank()] = torch.cat([mean, variance, mean.new_full((1,), x.numel() / channels)])
    means, variances, counts = all_reduce(rows).split([channels, channels, 1], 1)  # type: ignore[no-untyped-call]
    shares = counts / counts.sum()
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + (means - mean) ** 2)).sum(0), counts.sum()


SHARED = {nn.BatchNorm2d: SharedBatchNorm2d, BatchNormAct2d: SharedBatchNormAct2d}


class SharedStatistics(LayerSync):
    """Lightning's plugin that makes BatchNorm layers take their statistics over all processes, in place.

    Args:
        is_gpu: Torch's own layers, which run on GPUs alone.
    """

    def __init__(self, *, is_gpu: bool) -> None:
        self.is_gpu = is_gpu

    def apply(self, model: nn.Module) -> nn.Module:
        """Change the BatchNorm layers of a model, and return it."""
        if self.is_gpu:
            # torch's, and timm's with an activation
            converted: nn.Module = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
            return converted
        for module in model.modules():
            module.__class__ = SHARED.get(type(module), type(module))  # parameters, names and hooks stay what they are
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Nothing: a trained model is loaded anew from its checkpoint."""
        return model
