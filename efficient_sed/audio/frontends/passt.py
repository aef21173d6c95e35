"""Front end of fPaSST (https://arxiv.org/abs/2110.05069): that of the released students, with another window."""

from __future__ import annotations

import torch

from efficient_sed.audio.frontends.mel import WINDOW_LENGTH, LogMel


class PasstMel(LogMel):
    """`LogMel` with a periodic Hann window instead of a symmetric one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW_LENGTH), persistent=False)
