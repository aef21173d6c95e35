"""The spectrogram of exports is that of the transform."""

from __future__ import annotations

import pytest
import torch

from efficient_sed.audio.frontends.dft import centre_pad, power_spectrum


@pytest.mark.parametrize(
    ("window_length", "fft_length", "hop_length"),
    [(400, 512, 160), (1024, 1024, 320), (882, 1024, 441), (440, 512, 220), (1380, 2048, 345), (5, 8, 3)],
)
@pytest.mark.parametrize("extra", [0, 1, 4001])
def test_exports_get_the_same_spectrum(
    window_length: int, fft_length: int, hop_length: int, extra: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = torch.randn(2, fft_length + extra, generator=torch.Generator().manual_seed(extra))
    window = torch.hann_window(window_length, periodic=False)
    expected = power_spectrum(signal, window, fft_length, hop_length)
    assert expected.shape == (2, fft_length // 2 + 1, 1 + extra // hop_length)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    exported = power_spectrum(signal, window, fft_length, hop_length)
    assert not torch.equal(exported, expected)  # another way to the same
    torch.testing.assert_close(exported, expected, rtol=1e-4, atol=1e-3)


def test_centred_frames_are_those_of_pytorch() -> None:
    signal, window = torch.randn(2, 1000), torch.hann_window(100)
    spectrum = torch.stft(signal, 128, 50, 100, window, center=True, pad_mode="reflect", return_complex=True)
    assert torch.equal(
        power_spectrum(centre_pad(signal, 128), window, 128, 50), torch.view_as_real(spectrum).square().sum(-1)
    )
