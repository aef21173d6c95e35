"""Front ends: waveform to spectrogram, one file each."""
