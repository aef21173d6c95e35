"""The length of a recording is what decoding yields, whatever its header says; what cannot be read whole is refused."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from efficient_sed.audio.decode import SndfileDecoder, open_decoder
from efficient_sed.audio.encoded import SUFFIXES, EncodedAudio
from efficient_sed.audio.io import AudioReader, audio_info, find_audio, read_audio
from efficient_sed.errors import DataError

RATE, SECONDS = 16_000, 12
WAV_HEADER = 44


def noise(seconds: float = SECONDS, channels: int = 1, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).normal(scale=0.1, size=(round(seconds * RATE), channels)).clip(-0.9, 0.9)
    samples *= (0.1 + np.abs(np.sin(np.arange(len(samples)) / RATE)))[:, None]  # else VBR would be constant
    return samples.astype(np.float32)


def encode(path: Path, codec: str, samples: np.ndarray, container: str | None = None, **options: str) -> Path:
    """Write a file by FFmpeg's libraries, which write what libsndfile does not."""
    with av.open(str(path), "w", format=container, options=options) as file:
        stream: Any = file.add_stream(codec, rate=RATE, layout="mono" if samples.shape[1] == 1 else "stereo")
        stream.bit_rate = 64_000
        stream.options = {"q": "2"} if options.get("vbr") else {}
        resampler = av.AudioResampler(
            stream.format, stream.layout, RATE, frame_size=stream.codec_context.frame_size or 1024
        )
        whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", stream.layout.name)
        whole.sample_rate, whole.pts, whole.time_base = RATE, 0, Fraction(1, RATE)
        for frame in [*resampler.resample(whole), *resampler.resample(None)]:
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def wav(path: Path, seconds: float = SECONDS, subtype: str = "PCM_16", seed: int = 0) -> Path:
    soundfile.write(path, noise(seconds, seed=seed), RATE, subtype=subtype)
    return path


def patched(path: Path, *changes: tuple[int, bytes]) -> Path:
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[place : place + len(value)] = value
    path.write_bytes(data)
    return path


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
    return path


def mp3(folder: Path, name: str = "a.mp3", **options: str) -> Path:
    return encode(folder / name, "libmp3lame", noise(), **options)


def sizes(data: int, riff: int | None = None, subtype: str = "PCM_16") -> Callable[[Path], Path]:
    """A WAV file with these sizes in its header."""

    def make(folder: Path) -> Path:
        path = wav(folder / "a.wav", subtype=subtype)
        changes = [(path.read_bytes().index(b"data") + 4, struct.pack("<I", data))]
        return patched(path, *changes, *([] if riff is None else [(4, struct.pack("<I", riff))]))

    return make


def with_chunk_behind(folder: Path) -> Path:
    """A WAV file whose samples are followed by a chunk with a size that is odd, and whose own size is right."""
    path = wav(folder / "a.wav")
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 5) + b"INFO\0")
    return path


def unclosed_with_chunk_before(folder: Path) -> Path:
    path = wav(folder / "a.wav")
    data = path.read_bytes()
    bext = b"bext" + struct.pack("<I", 602) + bytes(602)
    path.write_bytes(data[:36] + bext + b"data" + struct.pack("<I", 0) + data[44:])
    return path


def unclosed_aiff(folder: Path) -> Path:
    soundfile.write(folder / "a.aiff", noise(), RATE)
    data = (folder / "a.aiff").read_bytes()
    return patched(folder / "a.aiff", (data.index(b"SSND") + 4, struct.pack(">I", 4000)))


def unclosed_rf64(folder: Path) -> Path:
    soundfile.write(folder / "a.wav", noise(), RATE, format="RF64", subtype="PCM_16")
    data = (folder / "a.wav").read_bytes()
    return patched(folder / "a.wav", (data.index(b"ds64") + 16, bytes(8)))


def stale_w64(folder: Path) -> Path:
    soundfile.write(folder / "a.w64", noise(), RATE, subtype="PCM_16")
    data = (folder / "a.w64").read_bytes()
    return patched(folder / "a.w64", (data.index(b"data\xf3") + 16, struct.pack("<Q", 24 + 4000)))


def short_au(folder: Path) -> Path:
    soundfile.write(folder / "a.au", noise(), RATE)
    return patched(folder / "a.au", (8, struct.pack(">I", 4000)))


def adpcm(folder: Path) -> Path:
    soundfile.write(folder / "a.wav", noise(), RATE, subtype="MS_ADPCM")
    data = (folder / "a.wav").read_bytes()
    return patched(folder / "a.wav", (data.index(b"data") + 4, bytes(4)))


def flac_that_says(folder: Path, num_samples: int) -> Path:
    path = by_sndfile("flac")(folder)
    return patched(path, (21, bytes([path.read_bytes()[21] & 0xF0])), (22, struct.pack(">I", num_samples)))


def wrong_xing(num_frames: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = mp3(folder)
        return patched(path, (path.read_bytes().index(b"Info") + 8, struct.pack(">I", num_frames)))

    return make


def tail(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[path.stat().st_size // 2 + 7 :])
    return path


def behind_id3(path: Path) -> Path:
    path.write_bytes(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + path.read_bytes())
    return path


def sparse_flac(folder: Path) -> Path:
    """Hardly any bytes behind what the header says."""
    samples = np.zeros(SECONDS * RATE)
    samples[-RATE:] = noise(1)[:, 0]
    soundfile.write(folder / "a.flac", samples, RATE)
    data = (folder / "a.flac").read_bytes()
    return patched(folder / "a.flac", (21, bytes([data[21] & 0xF0])), (22, struct.pack(">I", 4 * RATE)))


def w64_with_chunk_behind(folder: Path) -> Path:
    """libsndfile takes the chunk for samples."""
    soundfile.write(folder / "a.w64", noise(), RATE, subtype="PCM_16")
    data = (folder / "a.w64").read_bytes()
    (folder / "a.w64").write_bytes(data + b"list" + data[4:16] + struct.pack("<Q", 24 + 8000) + bytes(8000))
    return folder / "a.w64"


def unsigned_bytes(folder: Path) -> Path:
    """Samples that look like the letters of a chunk's name."""
    soundfile.write(folder / "a.wav", -0.2 + 0.4 * noise(), RATE, subtype="PCM_U8")
    data = (folder / "a.wav").read_bytes()
    return patched(folder / "a.wav", (data.index(b"data") + 4, struct.pack("<I", 4 * RATE)))


def little_endian_au(folder: Path) -> Path:
    soundfile.write(folder / "a.au", noise(), RATE, subtype="PCM_16", endian="LITTLE")
    return patched(folder / "a.au", (8, struct.pack("<I", 4000)))


def ogg_without_a_page(folder: Path) -> Path:
    pages = by_sndfile("ogg")(folder).read_bytes().split(b"OggS")
    (folder / "a.ogg").write_bytes(b"OggS".join(pages[:5] + pages[6:]))
    return folder / "a.ogg"


def big_endian(folder: Path) -> Path:
    soundfile.write(folder / "a.wav", noise(), RATE, subtype="PCM_16", endian="BIG")
    return patched(folder / "a.wav", ((folder / "a.wav").read_bytes().index(b"data") + 4, bytes(4)))


def twice(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def make_twice(folder: Path) -> Path:
        path = make(folder)
        return joined(folder / f"twice{path.suffix}", path, path)

    return make_twice


def by_sndfile(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        soundfile.write(folder / f"a.{suffix}", noise(), RATE)
        return folder / f"a.{suffix}"

    return make


def gsm(folder: Path) -> Path:
    soundfile.write(folder / "a.wav", noise()[::2], RATE // 2, subtype="GSM610")
    return folder / "a.wav"


def id3v1(path: Path) -> Path:
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    return path


MP3_FRAME_S = 1152 / 16_000
RIGHT_LENGTHS: dict[str, tuple[Callable[[Path], Path], float, float]] = {  # seconds, and how far off is still right
    "mp3 vbr without Xing": (lambda folder: mp3(folder, vbr="1", write_xing="0"), SECONDS, 2 * MP3_FRAME_S),
    "mp3 cbr without Xing": (lambda folder: mp3(folder, write_xing="0"), SECONDS, 2 * MP3_FRAME_S),
    "mp3 with Xing": (mp3, SECONDS, 1e-3),
    "mp3 with Xing and ID3v1": (lambda folder: id3v1(mp3(folder)), SECONDS, 1e-3),
    "mp3 joined": (twice(mp3), 2 * SECONDS, 4 * MP3_FRAME_S),
    "mp3 of two kinds joined": (
        lambda folder: joined(folder / "j.mp3", mp3(folder), mp3(folder, "b.mp3", vbr="1", write_xing="0")),
        2 * SECONDS, 4 * MP3_FRAME_S,
    ),
    "mp3 that begins amid a frame": (lambda folder: tail(mp3(folder)), SECONDS / 2, 0.2),
    "mp3 with half of Xing's frames": (wrong_xing(83), SECONDS, 2 * MP3_FRAME_S),
    "mp3 with too many of Xing's frames": (wrong_xing(400), SECONDS, 2 * MP3_FRAME_S),
    "mp3 cut off": (lambda folder: cut(mp3(folder)), SECONDS / 2, 0.2),
    "mp3 in wav": (lambda folder: encode(folder / "a.wav", "libmp3lame", noise()), SECONDS, 2 * MP3_FRAME_S),
    "flac joined": (twice(by_sndfile("flac")), 2 * SECONDS, 1e-6),
    "flac of an earlier size": (lambda folder: flac_that_says(folder, 4 * RATE), SECONDS, 1e-6),
    "flac that says too much": (lambda folder: flac_that_says(folder, 40 * RATE), SECONDS, 1e-6),
    "flac of an earlier size, nearly silent": (sparse_flac, SECONDS, 1e-6),
    "wav behind ID3": (lambda folder: behind_id3(wav(folder / "a.wav")), SECONDS, 1e-6),
    "aiff behind ID3": (lambda folder: behind_id3(by_sndfile("aiff")(folder)), SECONDS, 1e-6),
    "wav of unsigned bytes, an earlier size": (unsigned_bytes, SECONDS, 1e-6),
    "wav of GSM 6.10": (gsm, SECONDS, 0.1),
    "wave64 with a chunk behind": (w64_with_chunk_behind, SECONDS, 1e-6),
    "au of little endian, an earlier size": (little_endian_au, SECONDS, 1e-6),
    "vorbis without a page": (ogg_without_a_page, SECONDS - 1, 1.0),
    "flac from a pipe": (lambda folder: flac_that_says(folder, 0), SECONDS, 1e-6),
    "flac cut off": (lambda folder: cut(by_sndfile("flac")(folder)), SECONDS / 2, 0.5),
    "flac in ogg": (lambda folder: encode(folder / "a.oga", "flac", noise(), "ogg"), SECONDS, 1e-6),
    "vorbis chained": (twice(by_sndfile("ogg")), 2 * SECONDS, 0.05),
    "vorbis cut off": (lambda folder: cut(by_sndfile("ogg")(folder)), SECONDS / 2, 1.0),
    "opus chained": (twice(lambda folder: encode(folder / "a.opus", "libopus", noise(), "ogg")), 2 * SECONDS, 0.05),
    "wav of size 0": (sizes(0), SECONDS, 1e-6),
    "wav of sizes 0": (sizes(0, 0), SECONDS, 1e-6),
    "wav of size 0xFFFFFFFF": (sizes(2**32 - 1, 2**32 - 1), SECONDS, 1e-6),
    "wav of size 0x7FFFFFFF": (sizes(2**31 - 1), SECONDS, 1e-6),
    "wav of an earlier size": (sizes(64_000, 64_036), SECONDS, 1e-6),
    "wav of an odd size": (sizes(63_999), SECONDS, 1e-6),
    "wav cut off": (lambda folder: cut(wav(folder / "a.wav")), SECONDS / 2, 0.01),
    "wav of 24 bits, size 0": (sizes(0, subtype="PCM_24"), SECONDS, 1e-6),
    "wav of floats, an earlier size": (sizes(64_000, subtype="FLOAT"), SECONDS, 1e-6),
    "wav of mu-law, size 0": (sizes(0, subtype="ULAW"), SECONDS, 1e-6),
    "wav with a chunk behind": (with_chunk_behind, SECONDS, 1e-6),
    "wav of size 0 with a chunk before": (unclosed_with_chunk_before, SECONDS, 1e-6),
    "wav of adpcm, size 0": (adpcm, SECONDS, 0.1),
    "wav of big endian, size 0": (big_endian, SECONDS, 1e-6),
    "aiff of an earlier size": (unclosed_aiff, SECONDS, 1e-6),
    "rf64 of size 0": (unclosed_rf64, SECONDS, 1e-6),
    "wave64 of an earlier size": (stale_w64, SECONDS, 1e-6),
    "au of an earlier size": (short_au, SECONDS, 1e-6),
    "aac": (lambda folder: encode(folder / "a.m4a", "aac", noise()), SECONDS, 0.13),
    "alac": (lambda folder: encode(folder / "a.m4a", "alac", noise()), SECONDS, 1e-6),
    "wavpack": (lambda folder: encode(folder / "a.wv", "wavpack", noise()), SECONDS, 1e-6),
    "adts": (lambda folder: encode(folder / "a.aac", "aac", noise(), "adts"), SECONDS, 0.2),
}  # fmt: skip


@pytest.mark.parametrize(("make", "seconds", "tolerance"), RIGHT_LENGTHS.values(), ids=RIGHT_LENGTHS.keys())
def test_length_is_what_decoding_yields(
    tmp_path: Path, make: Callable[[Path], Path], seconds: float, tolerance: float
) -> None:
    path = make(tmp_path)
    info, whole = audio_info(path), read_audio(path)
    assert info.duration_s == pytest.approx(seconds, abs=tolerance)
    assert len(whole) == round(info.duration_s * RATE)
    assert whole[-RATE:].std() > 0.005  # sound to the end, no padding
    in_memory = EncodedAudio("bytes", path.read_bytes())
    assert audio_info(in_memory) == info
    with AudioReader(in_memory) as reader:  # parts, in order and back
        for start_s in (1.0, 0.4 * info.duration_s, 0.7 * info.duration_s, info.duration_s - 2, 0.0):
            part = reader.read(start_s, 1.5)
            first = round(start_s * RATE)
            np.testing.assert_allclose(part, whole[first : first + len(part)], atol=1e-4)
            assert len(part) == round(1.5 * RATE)


@pytest.mark.parametrize("extra", [b"", bytes(200_000)], ids=["nothing", "unused space"])
def test_a_right_header_is_trusted(tmp_path: Path, extra: bytes) -> None:
    path = wav(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes() + extra)
    decoder = open_decoder(path)
    assert isinstance(decoder, SndfileDecoder)
    assert decoder.count_samples() == SECONDS * RATE
    decoder.close()


def test_a_size_that_wrapped_at_four_gigabytes(tmp_path: Path) -> None:
    """A sparse file: the samples are silence but for the last second, which a chunk follows."""
    path = tmp_path / "long.wav"
    frames = 2**32 // 2 + 5 * RATE
    soundfile.write(path, np.zeros(1), RATE, subtype="PCM_16")
    patched(path, (WAV_HEADER - 4, struct.pack("<I", 2 * frames % 2**32)))
    last = (noise(1)[:, 0] * 2**15).astype("<i2").tobytes()
    with path.open("r+b") as file:
        file.seek(WAV_HEADER + 2 * frames - len(last))
        file.write(last + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert audio_info(path).duration_s == frames / RATE
    assert read_audio(path, frames / RATE - 1).std() == pytest.approx(noise(1).std(), rel=0.01)


@pytest.mark.parametrize("kind", ["wav", "aiff", "caf", "w64", "au", "m4a", "wma", "wv"])
def test_joined_files_that_decoders_end_in_are_refused_with_a_way_to_split_them(tmp_path: Path, kind: str) -> None:
    codecs = {"m4a": "aac", "wma": "wmav2", "wv": "wavpack"}
    first = tmp_path / f"a.{kind}"
    encode(first, codecs[kind], noise()) if kind in codecs else by_sndfile(kind)(tmp_path)
    size, path = first.stat().st_size, joined(tmp_path / f"ab.{kind}", first, first)
    with pytest.raises(
        DataError,
        match=f"another recording is joined to this one at byte {size}; split them: head -c {size} IN > first.{kind}",
    ):
        audio_info(path)


OTHER_KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Path]]] = {
    "wav, mp3": (by_sndfile("wav"), mp3),
    "wav, flac": (by_sndfile("wav"), by_sndfile("flac")),
    "flac, mp3": (by_sndfile("flac"), mp3),
    "ogg, flac": (by_sndfile("ogg"), by_sndfile("flac")),
    "ogg, opus": (by_sndfile("ogg"), lambda folder: encode(folder / "a.opus", "libopus", noise(), "ogg")),
}


@pytest.mark.parametrize(("first", "second"), OTHER_KINDS.values(), ids=OTHER_KINDS.keys())
def test_another_kind_of_file_joined_is_refused(
    tmp_path: Path, first: Callable[[Path], Path], second: Callable[[Path], Path]
) -> None:
    path = first(tmp_path)
    size, both = path.stat().st_size, joined(tmp_path / f"both{path.suffix}", path, second(tmp_path))
    with pytest.raises(DataError, match=f"another recording is joined to this one at byte {size};"):
        audio_info(both)


def test_a_hole_in_a_file_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = encode(tmp_path / "a.mka", "libmp3lame", noise())
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) * 3 // 4] = bytes(len(data) * 3 // 4 - len(data) // 2)
    path.write_bytes(data)
    read_audio(path)
    assert re.search(
        r"a\.mka: \d+ of \d+ bytes are not decoded \(it is damaged, .*\); \d\.\d+ s are used$", caplog.messages[0]
    )


def test_a_change_of_rate_is_refused(tmp_path: Path) -> None:
    mp3(tmp_path)
    soundfile.write(tmp_path / "b.mp3", noise(), 24_000)
    with pytest.raises(DataError, match=r"changes from 16000 Hz, 1 channels to 24000 Hz, 1 channels at 12\.\d+ s"):
        audio_info(joined(tmp_path / "j.mp3", tmp_path / "a.mp3", tmp_path / "b.mp3"))


def test_what_is_missing_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = cut(by_sndfile("flac")(tmp_path))
    unclosed = sizes(0)(tmp_path)
    for _ in range(2):
        read_audio(path)
        read_audio(unclosed)
    assert [message.split(": ", 1)[1].split(";")[0] for message in caplog.messages] == [
        f"1 of {caplog.messages[0].split(' of ')[1].split()[0]} packets cannot be decoded (it is cut off, or "
        "joined from several files)",
        "its header says 0.00 s, its samples last 12.00 s",
    ]


def test_without_pyav_the_line_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mp3(tmp_path, write_xing="0")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(
        DataError,
        match=r"its header does not state its length; reading it needs the package av: "
        r"pip install av, or convert it: ffmpeg",
    ):
        audio_info(path)


def test_playlists_open_nothing(tmp_path: Path) -> None:
    """FFmpeg would follow a list to other files, and to the network."""
    wav(tmp_path / "secret.wav")
    for name, text in (
        ("a.mp3", "#EXTM3U\n#EXTINF:12,\nsecret.wav\n"),
        ("b.mp4", "ffconcat version 1.0\nfile secret.wav\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match="not readable as audio"):
            audio_info(tmp_path / name)


def test_channels_that_cancel(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = noise()[:, 0]
    half = np.where(np.arange(len(left)) < len(left) // 2, left, -left)
    kinds = {
        "inverted": -left,
        "half": half,
        "nearly": -0.85 * left + 0.1 * noise(seed=2)[:, 0],
        "other": noise(seed=1)[:, 0],
        "silent": 0 * left,
        "same": left,
    }
    for name, right in kinds.items():
        soundfile.write(tmp_path / f"{name}.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
        read_audio(tmp_path / f"{name}.wav")
        np.testing.assert_array_equal(read_audio(tmp_path / f"{name}.wav", channel=1), left)
        np.testing.assert_array_equal(read_audio(tmp_path / f"{name}.wav", channel=2), right)
    assert [Path(message.split(": ")[0]).stem for message in caplog.messages] == ["inverted", "half", "nearly"]
    phases = 2 * np.pi * 1000 * np.arange(RATE)[:, None] / RATE + np.array([0.5, -0.5])
    soundfile.write(tmp_path / "phases.wav", 0.3 * np.sin(phases), RATE)
    soundfile.write(tmp_path / "short.wav", 0.3 * np.array([[1, -1]] * 100), RATE)
    read_audio(tmp_path / "phases.wav")
    read_audio(tmp_path / "short.wav")
    assert len(caplog.messages) == 3
    with pytest.raises(DataError, match=r"same\.wav: has no channel 3; it has 2, counted from 1"):
        read_audio(tmp_path / "same.wav", channel=3)


def test_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every ending in any case; links are followed without circles, each file once; the rest is counted."""
    caplog.set_level("INFO")
    folder = tmp_path / "d"
    (folder / "sub").mkdir(parents=True)
    expected = [folder / f"{index}{suffix.upper() if index % 2 else suffix}" for index, suffix in enumerate(SUFFIXES)]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in [
        *expected,
        folder / "sub" / "s.wav",
        elsewhere / "e.wav",
        folder / "notes.txt",
        folder / "notes2.TXT",
        folder / "README",
        folder / ".hidden.wav",
    ]:
        path.touch()
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "a link").symlink_to(elsewhere)
    (folder / "again").symlink_to(folder / "sub")
    (elsewhere / "back").symlink_to(folder / "sub")
    assert find_audio(folder) == sorted([*expected, folder / "sub" / "s.wav", folder / "a link" / "e.wav"])
    assert caplog.messages == [f"{folder}: passed over 3 files that are no audio (2 with .txt, 1 with no ending)"]
