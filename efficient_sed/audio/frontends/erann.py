"""Front end of ERANN: 128 logarithmic mel bands of 44.1 kHz, about 128 frames a second.

Verbitskiy and Vyshegorodtsev, "ERANNs: Efficient Residual Audio Neural Networks for Audio Pattern Recognition"
(https://arxiv.org/abs/2106.01621), section 2.2: a Hann window of four hops. Their equation 1 asks for 128 frames a
second, which no whole hop gives; a hop of 345 samples comes nearest (127.8) and gives the published feature maps of
8 x 20 for 10 s, where 344 would give 21 steps. The paper leaves open the length of the Fourier transform and the mel
scale; here they are 2048, the next power of two, and Slaney's. Changed: frames tile the signal, as in `mel40`.
"""

from __future__ import annotations

from efficient_sed.audio.frontends.mel40 import Analysis, TiledMel

MEL_BINS = 128
SAMPLE_RATE = 44_100
HOP_LENGTH = 345  # 7.82 ms; 44,100 / 128 is 344.5
ANALYSIS = Analysis(SAMPLE_RATE, 4 * HOP_LENGTH, HOP_LENGTH, 2048, "hann", MEL_BINS, has_cepstrum=False)


class ErannMel(TiledMel):
    """Waveform (batch, samples) at 44.1 kHz -> (batch, 1, 128, frames).

    The output is not normalised: the first BatchNorm of the network does that.
    """

    def __init__(self) -> None:
        super().__init__(ANALYSIS)
