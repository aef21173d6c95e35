"""Clips of a data set that has no columns of its own, put into arrays: 100 bytes a clip, which data workers share."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from efficient_sed.data.events import STRONG, Clip, Group
from efficient_sed.data.storage.columns import ClipColumns, ColumnPart
from efficient_sed.data.storage.containers import Kind
from efficient_sed.data.storage.sources import AudioFile, AudioSource, ContainerAudio

NO_CONTAINER = -1


class ArrayColumns(ClipColumns):
    """Columns in memory. Audio lies in rows of containers, or in files; the content is known by its SHA-256.

    Args:
        arrays: By name, those of `ClipColumns` and `container`, `row` in it, `path`, `digest` (clips, 32).
        containers: What `container` counts.
        channel: Of all clips, counted from 1; None for the mean.
        group: Of all clips.
    """

    def __init__(
        self,
        labels: Sequence[str],
        arrays: Mapping[str, np.ndarray],
        containers: Sequence[tuple[Kind, Path]],
        channel: int | None,
        group: Group = STRONG,
    ) -> None:
        self.labels, self._arrays, self._containers, self._channel = labels, arrays, containers, channel
        self.group = group

    def read(self, name: str, first: int, last: int) -> np.ndarray:
        """A range of one column."""
        return self._arrays[name][first:last]

    def sources(self, ids: Sequence[str], first: int, last: int) -> Iterator[AudioSource]:
        """Where the audio of a range of clips comes from."""
        containers, rows, paths = (self.read(name, first, last).tolist() for name in ("container", "row", "path"))
        for clip, container, row, path, digest in zip(
            ids, containers, rows, paths, self.read("digest", first, last), strict=True
        ):
            if container == NO_CONTAINER:
                yield AudioFile(Path(os.fsdecode(path)), self._channel, digest.tobytes().hex())
            else:
                kind, file = self._containers[container]
                yield ContainerAudio(kind, file, row, clip, digest.tobytes().hex(), self._channel)


def gather(clips: Iterable[Clip]) -> ColumnPart:
    """Clips of `AudioFile` and `ContainerAudio`, of one channel and group, with known digests; they are not kept."""
    names, paths, digests = [], [], bytearray()
    channels: set[int | None] = set()
    groups: set[Group] = set()
    durations_s, onsets_s, offsets_s = array("d"), array("d"), array("d")
    event_first, classes, rows, places = array("q", [0]), array("i"), array("q"), array("i")
    labels: dict[str, int] = {}
    containers: dict[tuple[Kind, Path], int] = {}
    for clip in clips:
        source = clip.audio
        if isinstance(source, ContainerAudio):
            place, row, path = containers.setdefault((source.kind, source.path), len(containers)), source.row, b""
        elif isinstance(source, AudioFile):
            place, row, path = NO_CONTAINER, 0, os.fsencode(source.path)
        else:
            raise TypeError(f"{source}: neither a row of a container nor a file")
        channels.add(source.channel)
        groups.add(clip.group)
        names.append(clip.id.encode())
        paths.append(path)
        digests += bytes.fromhex(source.digest)
        durations_s.append(clip.duration_s)
        places.append(place)
        rows.append(row)
        event_first.append(event_first[-1] + len(clip.events))
        for event in clip.events:
            onsets_s.append(event.onset_s)
            offsets_s.append(event.offset_s)
            classes.append(labels.setdefault(event.label, len(labels)))
    (channel,), (group,) = channels or {1}, groups or {STRONG}
    arrays = {
        "id": np.array(names, dtype="S"), "path": np.array(paths, dtype="S"),
        "digest": np.frombuffer(digests, np.uint8).reshape(-1, 32),
        "duration_s": np.array(durations_s), "container": np.array(places), "row": np.array(rows),
        "event_first": np.array(event_first),
        "event_onset_s": np.array(onsets_s), "event_offset_s": np.array(offsets_s), "event_class": np.array(classes),
    }  # fmt: skip
    return ColumnPart(ArrayColumns(tuple(labels), arrays, tuple(containers), channel, group), range(len(names)))
