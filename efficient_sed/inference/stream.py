"""Scores and events of sound that is still going on.

PyTorch is imported with a PyTorch model only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from efficient_sed.audio.io import MAX_FILTER_SIZE, filter_size
from efficient_sed.audio.resample import resample
from efficient_sed.audio.waveform_checks import MAX_PEAK, wrong_samples
from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_scores
from efficient_sed.errors import ConfigError, ShapeError
from efficient_sed.inference.detect import open_detector
from efficient_sed.inference.detect_options import DetectOptions, EventRule, PostprocessingChoice
from efficient_sed.inference.detector import Detector, ScoreNew
from efficient_sed.postprocessing.events import track_stream
from efficient_sed.postprocessing.stream import LIVE_PAST_S, smooth_stream
from efficient_sed.postprocessing.thresholds import AUTO, ThresholdChoice

if TYPE_CHECKING:
    from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)


class Stream:
    """Takes chunks of sound of any size and returns scores (frames, classes) as soon as enough sound has followed.

    After each further `hop_s` of sound the model scores the last window, as long as the clips that it was trained
    on, and the frames that end `lookahead_s` before the present are returned: a score comes at most `latency_s`
    after its sound, computing left out, and an event later by `Chain.look_ahead_s` of its post-processing. Scores
    do not depend on how the sound is cut into chunks. In PyTorch a causal sequence head continues from its state,
    so it has seen everything before, as on the whole recording; other heads, and all exported models, see the
    window. Scores differ from those of `detect`, whose windows have more sound after a frame.

    Args:
        model: A model, which is put in evaluation mode; the name of a released one; or a file that holds one, an
            exported one too.
        sample_rate: Of the chunks, in Hz; default None, the model's.
        hop_s: Seconds from one forward pass to the next; a shorter one costs more.
        lookahead_s: Seconds of sound that follow a frame before its score is returned.

    Raises:
        ConfigError: If hop or look-ahead do not fit into a window, or the model's frame scores are untrained.
        CheckpointError: If `model` is a name or a file without usable weights.
    """

    def __init__(
        self,
        model: SedModel | Detector | str | Path,
        *,
        sample_rate: int | None = None,
        hop_s: float = 1.0,
        lookahead_s: float = 0.4,
    ) -> None:
        self.detector = open_detector(model)
        grid, window_s = self.detector.grid, self.detector.clip_seconds
        if not grid.hop_s <= hop_s <= window_s:
            raise ConfigError(
                f"hop_s={hop_s:g} is not allowed: {grid.hop_s:g} s, a frame of the model, to {window_s:g} s, its window"
            )
        if not 0 <= lookahead_s <= window_s - hop_s:
            raise ConfigError(
                f"lookahead_s={lookahead_s:g} is not allowed: 0 to {window_s - hop_s:g} s, "
                f"what hop_s={hop_s:g} leaves of the model's window of {window_s:g} s"
            )
        self.sample_rate = grid.sample_rate if sample_rate is None else sample_rate
        if self.sample_rate < 1 or filter_size(self.sample_rate, grid.sample_rate) > MAX_FILTER_SIZE:
            raise ConfigError(
                f"sample_rate={sample_rate} is not allowed: one that can be turned into the model's "
                f"{grid.sample_rate}, such as 16000, 44100 or 48000"
            )
        # In frames; a window is no longer than a clip, since a model may take nothing longer.
        self._window = int(round(window_s / grid.hop_s, 6))
        self._hop = min(self._window, round(hop_s / grid.hop_s))
        self._lookahead = min(self._window - self._hop, round(lookahead_s / grid.hop_s))
        self.latency_s = (self._hop + self._lookahead) * grid.hop_s
        self.computing_s = 0.0
        self._heard = np.zeros(0, dtype=np.float32)  # what later windows may need
        self._dropped = 0  # samples before that
        self._given = 0  # frames whose scores were returned
        self._is_finished = False
        self._is_loud = False  # whether there was a warning about them
        # None where the window is scored: a method of its own would keep the stream and its sound after its end
        self._continued: ScoreNew | None = getattr(self.detector, "continued", lambda: None)()
        self._min_samples = getattr(self.detector, "min_samples", grid.first_frame_samples)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take further sound.

        Args:
            samples: Shape (samples,), floating point in [-1, 1].

        Returns:
            Scores (frames, classes) of the frames that are due; there may be none.

        Raises:
            TypeError: If samples are no fractions in [-1, 1] but whole numbers.
            ShapeError: If they are not one-dimensional or not finite.
            ValueError: If the stream is finished.
        """
        if self._is_finished:
            raise ValueError("the stream is finished; make another one for further sound")
        samples = np.asarray(samples)
        if samples.dtype.kind != "f":
            raise wrong_samples("samples", samples, np.ndarray, "(samples,)")
        peak = np.abs(samples).max(initial=0.0)
        if samples.ndim != 1 or not np.isfinite(peak):
            raise ShapeError(f"samples must be finite numbers of shape (samples,), got shape {samples.shape}")
        if peak > MAX_PEAK and not self._is_loud:
            self._is_loud = True
            logger.warning("samples reach %g where [-1, 1] is expected; divide those of 16 bits by 32768", peak)
        self._heard = np.concatenate([self._heard, samples.astype(np.float32, copy=False)])
        pieces = []
        whole = int(round(self.heard_s / self.detector.grid.hop_s, 6))
        while whole >= (present := self._given + self._hop + self._lookahead):
            pieces.append(self._pass(present, self._given + self._hop))
        return self._joined(pieces)

    def finish(self) -> np.ndarray:
        """End the sound; returns the scores (frames, classes) of the frames that are left."""
        total = int(np.ceil(round(self.heard_s / self.detector.grid.hop_s, 6)))
        self._is_finished = True
        return self._joined([self._pass(total, total)] if total > self._given else [])

    def events(
        self,
        chunks: Iterable[np.ndarray],
        threshold: ThresholdChoice = AUTO,
        median_frames: int | None = None,
        postprocessing: PostprocessingChoice = AUTO,
    ) -> Iterator[Event]:
        """Find events in sound that comes in chunks.

        Args:
            chunks: As for `push`.
            threshold: As for `detect`.
            median_frames: As for `detect`.
            postprocessing: As for `detect`.

        Yields:
            Each event, `latency_s` and the look-ahead of its post-processing after its end at the latest, computing
            left out; the last ones when the chunks end.

        Raises:
            ConfigError: If an option is not allowed.
            ValueError: If the stream was given sound before.
        """
        rule = DetectOptions(threshold, median_frames, postprocessing=postprocessing).rule(self.detector)
        return (event for ended, _ in self.track(chunks, rule) for event in ended)

    def track(self, chunks: Iterable[np.ndarray], rule: EventRule) -> Iterator[tuple[list[Event], list[Event]]]:
        """Find events in sound that comes in chunks, and say of those that go on that they have begun.

        Args:
            chunks: As for `push`.
            rule: How scores become events.

        Yields:
            As soon as further scores are final, the events that have ended, and those that go on, up to the last of
            these scores.

        Raises:
            ValueError: If the stream was given sound before.
        """
        if self.heard_s or self._is_finished:
            raise ValueError("events are those of a stream from its beginning; make another one")
        grid = self.detector.grid
        smoothed = smooth_stream(filter(len, self._scores(chunks)), rule.chain, grid.hop_s, past_s=LIVE_PAST_S)
        found = track_stream(smoothed, self.detector.classes, grid, rule.thresholds, float("inf"))
        return (([self._cut(event) for event in ended], going_on) for ended, going_on in found)

    def _cut(self, event: Event) -> Event:
        """An event up to the end of the sound, which may lie within a frame."""
        return event._replace(offset_s=min(event.offset_s, round(self.heard_s, 6)))

    @property
    def heard_s(self) -> float:
        """Seconds of sound that were pushed."""
        return (self._dropped + len(self._heard)) / self.sample_rate

    def _scores(self, chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for chunk in chunks:
            yield self.push(chunk)
        yield self.finish()

    def _joined(self, pieces: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(pieces) if pieces else np.zeros((0, len(self.detector.classes)), dtype=np.float32)

    def _pass(self, present: int, until: int) -> np.ndarray:
        """Scores of the frames that were not returned yet.

        Args:
            present: Frames of sound that are there.
            until: The frame before which the scores end.
        """
        started = time.perf_counter()
        begin = max(0, min(present - self._window, self._given))
        first, last = (
            round(frame * self.detector.grid.hop_s * self.sample_rate) for frame in (begin, present)
        )  # of all samples: roundings do not add up
        self._heard, self._dropped = self._heard[first - self._dropped :], first
        waveform = self._waveform(self._heard[: last - first], present - begin)
        score_new = self._score_window if self._continued is None else self._continued
        scores = score_new(waveform, self._given - begin, until - begin)
        check_scores("the stream", scores, self.detector.classes, first_frame=self._given)
        self._given = until
        self.computing_s += time.perf_counter() - started
        return scores

    def _score_window(self, waveform: np.ndarray, first: int, until: int) -> np.ndarray:
        return self.detector.score_frames(waveform)[0, first:until]

    def _waveform(self, samples: np.ndarray, num_frames: int) -> np.ndarray:
        """At the model's rate, shape (1, samples), filled with silence to whole frames."""
        grid = self.detector.grid
        length = max(num_frames * grid.hop_length * grid.stride, self._min_samples)
        waveform = resample(samples, self.sample_rate, grid.sample_rate)[:length]
        return np.pad(waveform, (0, length - len(waveform)))[None]
