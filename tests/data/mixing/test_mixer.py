"""A scene is decided by its random stream; events are where their sounds are; sounds have the wanted level."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from sound_files import strongest_hz, tone

from efficient_sed.data.mixing.bank import BankSound, BankWriter, SoundBank
from efficient_sed.data.mixing.effects import Changes, add_room
from efficient_sed.data.mixing.mixer import SceneMixer
from efficient_sed.data.mixing.noise import NoisePool, coloured_noise
from efficient_sed.data.mixing.options import MixingConfig
from efficient_sed.data.mixing.trim import find_background, find_sound

PLAIN = {"clip_seconds": 4.0, "speed_change": 0.0, "reverb_share": 0.0, "silence_share": 0.0}


def bank(folder: Path, sounds: dict[str, np.ndarray], most_bytes: float = 1e9) -> SoundBank:
    path = folder / "sounds.pcm"
    writer = BankWriter(path, most_bytes)
    kept = [BankSound(label, Path("none"), 0.0, len(own), writer.add(own)) for label, own in sounds.items()]
    writer.close()
    return SoundBank(kept, path)


@pytest.fixture
def tones(tmp_path: Path) -> SoundBank:
    return bank(tmp_path, {"low": tone(500, 0.5), "high": tone(2000, 1.0), "long": tone(4000, 9.0)})


def test_a_stream_decides_a_scene(tones: SoundBank) -> None:
    mixer = SceneMixer(MixingConfig(clip_seconds=4.0, min_events=2, max_negatives=3), tones, negatives=tones)
    again = pickle.loads(pickle.dumps(mixer))  # as another process has it
    for seed in range(6):
        samples, events = mixer.draw(np.random.default_rng([seed]))
        other, same_events = again.draw(np.random.default_rng([seed]))
        np.testing.assert_array_equal(samples, other)
        assert events == same_events == list(mixer.events(np.random.default_rng([seed])))
        assert samples.dtype == np.float32
        assert samples.shape == (64_000,)
        assert 0.09 < np.abs(samples).max() < 0.72  # -20 to -3 dB
    assert not np.array_equal(mixer.draw(np.random.default_rng([7]))[0], samples)


def test_events_are_where_the_sounds_are(tones: SoundBank) -> None:
    options = MixingConfig(**PLAIN, max_events=1, min_snr_db=40, max_snr_db=40)  # type: ignore[arg-type]
    hz = {"low": 500, "high": 2000, "long": 4000}
    lengths = {"low": 0.5, "high": 1.0, "long": 4.0}  # which is cropped to the scene
    seen = set()
    for seed in range(12):
        samples, (event,) = SceneMixer(options, tones).draw(np.random.default_rng([seed]))
        inside = np.zeros(64_000, dtype=bool)
        inside[round(event.onset_s * 16_000) : round(event.offset_s * 16_000)] = True
        assert strongest_hz(samples[inside]) == pytest.approx(hz[event.label], abs=5)
        assert event.offset_s - event.onset_s == pytest.approx(lengths[event.label], abs=2e-3)
        if event.label != "long":
            ratio = np.square(samples[inside]).mean() / np.square(samples[~inside]).mean()
            assert 10 * np.log10(ratio) == pytest.approx(40, abs=1.5)
        seen.add(event.label)
    assert seen == set(hz)


def test_options_are_kept(tones: SoundBank) -> None:
    options = MixingConfig(
        clip_seconds=4.0, min_events=3, max_events=6, max_polyphony=2, silence_share=0.5, max_event_seconds=0.8
    )
    scenes = [SceneMixer(options, tones).events(np.random.default_rng([seed])) for seed in range(60)]
    assert 15 < sum(not events for events in scenes) < 45
    for events in scenes:
        active = np.zeros(4001, int)
        for event in events:
            assert event.offset_s - event.onset_s <= 0.802
            active[round(1000 * event.onset_s) : round(1000 * event.offset_s)] += 1
        assert active.max() <= 2


def test_negatives_are_heard_and_have_no_event(tmp_path: Path) -> None:
    (tmp_path / "negatives").mkdir()
    negatives = bank(tmp_path / "negatives", {"": tone(3000, 1.0)})
    options = MixingConfig(**PLAIN | {"silence_share": 1.0}, min_snr_db=30, max_snr_db=30)  # type: ignore[arg-type]
    mixer = SceneMixer(options, bank(tmp_path, {"low": tone(500, 0.5)}), negatives=negatives)
    scenes = [mixer.draw(np.random.default_rng([seed])) for seed in range(8)]
    assert not any(events for _, events in scenes)
    heard = [abs(strongest_hz(samples) - 3000) < 5 for samples, _ in scenes]
    assert 2 <= sum(heard) < 8  # 0 to 2 of them


def test_a_background_is_repeated_and_never_silence(tmp_path: Path) -> None:
    own = bank(tmp_path, {"low": tone(500, 0.5)})
    for number, recording in enumerate((tone(1000, 0.7), np.concatenate([[0.5], np.zeros(200_000)]))):
        folder = tmp_path / str(number)
        folder.mkdir()
        options = MixingConfig(**PLAIN | {"silence_share": 1.0})  # type: ignore[arg-type]
        mixer = SceneMixer(options, own, background=bank(folder, {"": recording}))
        samples, _ = mixer.draw(np.random.default_rng([1]))
        loud = np.square(samples.reshape(40, -1)).mean(axis=1)
        assert loud.min() > 0.05 * loud.max()
        assert number or strongest_hz(samples) == pytest.approx(1000, abs=5)


@pytest.mark.parametrize(
    ("changes", "hz", "seconds"),
    [
        (Changes(), 1000, 1.0),
        (Changes(speed=22), 1100, 1 / 1.1),
        (Changes(length=16), 1000, 0.8),
        (Changes(pitch=24), 1200, 1.0),
        (Changes(18, 22, 21), 945, 1.1 / 0.9),
    ],
)
def test_changes(changes: Changes, hz: float, seconds: float) -> None:
    changed = changes.apply(tone(1000, 1.0).astype(np.float32))
    assert len(changed) == pytest.approx(16_000 * seconds, abs=32)
    assert len(changed) == pytest.approx(changes.new_count(16_000), abs=32)
    assert changes.new_count(changes.old_count(10_000)) == pytest.approx(10_000, abs=2)
    assert strongest_hz(changed[1000:-1000]) == pytest.approx(hz, abs=3)


def test_a_room_decays() -> None:
    """By 60 dB in the reverberation time, which lies below the longest; the sound itself stays as it is."""
    for seed in range(4):
        click = np.zeros(32_000, np.float32)
        click[1000] = 1.0
        add_room(np.random.default_rng(seed), click, 0.5)
        assert click[1000] == 1.0
        assert not click[:1000].any()
        assert not click[1001:1060].any()
        tail = np.square(click[1064:9064])
        assert 10 ** (-1.5) * 0.9 < tail.sum() < 1.1
        assert not click[1064 + 8000 :].any()
        early, late = tail[:400].sum(), tail[1200:1600].sum()
        assert early > 3 * late


def test_a_room_of_silence_is_silent() -> None:
    silence = np.zeros(16_000, np.float32)
    add_room(np.random.default_rng(0), silence, 0.5)
    assert not silence.any()


def test_pooled_noise_is_coloured_noise() -> None:
    pool, slow = NoisePool(), [coloured_noise(np.random.default_rng(n), 16_000) for n in range(20)]
    fast = [pool.draw(np.random.default_rng(n), 16_000) for n in range(20)]
    for noises in (slow, fast):
        assert np.std(noises) == pytest.approx(1.0, abs=0.1)
        tilts = [np.square(np.diff(noise)).mean() for noise in noises]  # 2 for white noise
        assert min(tilts) < 0.3
        assert max(tilts) > 1.2
    assert abs(np.corrcoef(fast)[np.triu_indices(20, 1)]).max() < 0.4


def test_trimming() -> None:
    samples = np.concatenate([np.full(1600, 1e-3), tone(500, 0.5), np.zeros(800), 0.1 * tone(500, 0.1), np.zeros(4801)])
    assert find_sound(samples, 40) == slice(1600, 1600 + 8000 + 800 + 1600)
    assert find_sound(samples, 15) == slice(1600, 1600 + 8000)
    assert find_sound(samples, 80) == slice(0, 1600 + 8000 + 800 + 1600)
    assert find_sound(samples, None) == slice(0, len(samples))


def test_a_background_has_no_holes_where_it_is_repeated() -> None:
    noise = coloured_noise(np.random.default_rng(0), 32_000).astype(np.float32)
    noise[:3200] *= np.linspace(0, 1, 3200)  # fades in
    noise[20_000:20_400] *= 300  # a bang, far louder than the rest
    noise[24_000:25_600] = 0  # and a pause, which is its own
    where = find_background(np.concatenate([np.zeros(4800), noise, np.zeros(1600)]).astype(np.float32))
    assert 4800 < where.start < 4800 + 3200
    assert where.stop == 4800 + 32_000
    assert find_background(np.zeros(1000, np.float32)) == slice(0, 1000)


def test_what_does_not_fit_is_read_from_its_file(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.concatenate([np.zeros(1600), tone(700, 1.0)]), 16_000)
    writer = BankWriter(tmp_path / "x.pcm", 1000)
    assert writer.add(tone(700, 1.0)) is None
    assert writer.num_left_out == 1
    place = writer.add(tone(700, 0.02))
    writer.close()
    own = SoundBank(
        [BankSound("a", tmp_path / "a.wav", 0.1, 16_000, None), BankSound("a", tmp_path / "none", 0.0, 320, place)],
        tmp_path / "x.pcm",
    )
    for number in (0, 1):
        read = own.read(number, 100, 220)
        np.testing.assert_allclose(read / np.abs(read).max(), tone(700, 1.0)[100:320] * 2, atol=0.01)
