"""Lines on the standard output, each written out at once."""

from __future__ import annotations

import json
from typing import TextIO

from efficient_sed.errors import escape_json
from efficient_sed.inference.live_events import Gap, LiveEvent
from efficient_sed.inference.sinks.contract import Sink


class TsvLines(Sink):
    """Onset, offset, label and score of each event, tab-separated."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def end(self, event: LiveEvent) -> None:
        """See `Sink.end`."""
        self._output.write(f"{event.onset_s:.2f}\t{event.offset_s:.2f}\t{event.label}\t{event.score:.4f}\n")
        self._output.flush()


class JsonLines(Sink):
    """A JSON object for each event, and two for each gap: when it begins and when it ends."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def end(self, event: LiveEvent) -> None:
        """See `Sink.end`."""
        self._write(event)

    def lose(self, gap: Gap) -> None:
        """See `Sink.lose`."""
        self._write(gap)

    def resume(self, gap: Gap | None) -> None:
        """See `Sink.resume`."""
        if gap is not None:
            self._write(gap)

    def _write(self, item: LiveEvent | Gap) -> None:
        self._output.write(escape_json(json.dumps(item.to_dict(), ensure_ascii=False)) + "\n")
        self._output.flush()


LINES = {"tsv": TsvLines, "jsonl": JsonLines}
