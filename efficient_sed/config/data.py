"""Options that every data set has. Data sets subclass this config in their own file. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from efficient_sed.audio.encoded import parse_channel
from efficient_sed.config.values import MAX_CLIP_SECONDS, to_dict
from efficient_sed.errors import require
from efficient_sed.machine.cores import count_cores

if TYPE_CHECKING:
    from efficient_sed.data.events import Splits

MAX_WORKERS = 256
MAX_POOL = 8  # by default: more gain little, and each process has its memory
MAX_MEDIAN_FRAMES = 9999  # almost seven minutes of 40 ms


def require_median(key: str, median_frames: int) -> None:
    """Raise a ConfigError unless a median filter can have that window."""
    is_window = 1 <= median_frames <= MAX_MEDIAN_FRAMES and median_frames % 2 == 1
    require(is_window, key, median_frames, f"an odd number of frames, at most {MAX_MEDIAN_FRAMES}, 1 for no filter")


@dataclass(frozen=True)
class DataConfig:
    """Where clips and their events come from, and how they are fed."""

    name: ClassVar[str]
    default_channel: ClassVar[int | None] = None
    """Counted from 1; None for the mean of all."""
    has_event_scores: ClassVar[bool] = False
    """Whether detection on these data is also scored by events at one threshold, as HEAR does."""
    is_single_label: ClassVar[bool] = False
    """Whether every clip holds one class alone: tagging then chooses one, by softmax."""
    location_keys: ClassVar[tuple[str, ...]] = ("root",)
    """Keys that say where the data lie. They are no part of a run's signature, which has the hash of the content."""

    clip_seconds: float = 10.0
    """Length of a training clip in seconds, 1 to 3600: longer files are cropped at random, shorter ones are padded with
    silence. Longer files are evaluated in windows of this length."""
    median_frames: int = 9
    """Window of the median filter on the scores, in frames of the model's output (40 ms for fmn); an odd number, 1 for
    no filter. It erases events that are shorter than half of it, so it belongs to the data."""
    num_workers: int | None = None
    """Processes that decode audio for a training, and threads that look at files before it, 0 to 256; 0 decodes in the
    training process. Default null: by measurement, none where decoding takes next to nothing of a step, else as many
    as keep pace; elsewhere as many as there are cores, at most eight."""
    channel: str | None = None
    """Channel that is used: `mix` (the mean of all channels), `first`, or a number counted from 1. Default null: the
    first channel for AudioSet, as published, and the mean elsewhere."""
    on_error: Literal["raise", "skip"] = "raise"
    """What happens with an audio file that cannot be read: `raise` stops and names it, `skip` leaves it out and counts
    it in the result."""
    pseudo_labels: str | None = None
    """HDF5 file with a teacher's frame logits for the training clips (`filenames`, `strong_logits`), as
    `efficient-sed pseudo-label` writes it. Default null: no stored teacher."""
    clip_teacher: str | None = None
    """Numpy file with a teacher's clip logits, shape (clips, classes), for task=tagging, as published for AudioSet;
    needs data.clip_teacher_index. Default null: none."""
    clip_teacher_index: str | None = None
    """Pickled dictionary from file name to row of data.clip_teacher. Default null: none."""

    def __post_init__(self) -> None:
        is_length = 1 <= self.clip_seconds <= MAX_CLIP_SECONDS
        require(is_length, "data.clip_seconds", f"{self.clip_seconds:g}", f"1 to {MAX_CLIP_SECONDS} seconds")
        require_median("data.median_frames", self.median_frames)
        if self.channel is not None:
            parse_channel(self.channel, "data.channel")
        is_number = self.num_workers is None or 0 <= self.num_workers <= MAX_WORKERS
        require(is_number, "data.num_workers", self.num_workers, f"0 to {MAX_WORKERS}, or null")
        key = "clip_teacher" if self.clip_teacher_index is None else "clip_teacher_index"
        require(
            (self.clip_teacher is None) == (self.clip_teacher_index is None),
            f"data.{key}",
            getattr(self, key),
            "only data.clip_teacher=NPY and data.clip_teacher_index=PKL together",
        )

    @property
    def has_labels(self) -> bool:
        """Whether training clips have labels, or only what a teacher says of them."""
        return True

    @property
    def pool_size(self) -> int:
        """Threads or processes that work on many files at once."""
        return min(count_cores(), MAX_POOL) if self.num_workers is None else self.num_workers

    @property
    def channel_number(self) -> int | None:
        """Channel that is used, counted from 1; None for the mean of all."""
        return self.default_channel if self.channel is None else parse_channel(self.channel)

    @property
    def chosen_channel(self) -> str:
        """A channel that is not the data set's own; empty if it is."""
        return "" if self.channel_number == self.default_channel else str(self.channel_number or "mix")

    def identity(self) -> dict[str, Any]:
        """The values that decide what the data are and how they are scored: all but those that only change speed."""
        left_out = {"num_workers"} | (set() if self.chosen_channel else {"channel"})
        return {key: value for key, value in to_dict(self).items() if key not in left_out}

    def load(self) -> Splits:
        """Read (or first make) the data set and return its clips by part."""
        raise TypeError(f"{type(self).__name__} does not say how to load a data set")
