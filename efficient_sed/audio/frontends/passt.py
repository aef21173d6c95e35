"""Front end of fPaSST (https://arxiv.org/abs/2110.05069): that of the released students, with another window."""

from __future__ import annotations

from efficient_sed.audio.frontends.mel import LogMel


class PasstMel(LogMel):
    """`LogMel` with a periodic Hann window instead of a symmetric one."""

    is_periodic = True
