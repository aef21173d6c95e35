"""The table of a training's metrics, which a kill at any time costs its last line at most."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from efficient_sed.files.atomic import write_atomically


class _Writer(ExperimentWriter):
    def save(self) -> None:
        """Append the new rows. With new columns the file is replaced atomically; Lightning empties it."""
        path = Path(self.metrics_file_path)
        columns = sorted({*self.metrics_keys, *(key for row in self.metrics for key in row)})
        if path.is_file() and columns != self.metrics_keys:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, columns)
            writer.writeheader()
            writer.writerows(rows)
            write_atomically(path, text.getvalue().encode())
            self.metrics_keys = columns
        super().save()


class MetricsTable(CSVLogger):
    """Lightning's CSV logger with that writer."""

    @property
    @rank_zero_experiment
    def experiment(self) -> _Writer:
        """The writer of the table; made when it is first asked for."""
        if self._experiment is None:
            Path(self.root_dir).mkdir(parents=True, exist_ok=True)
            self._experiment: _Writer | None = _Writer(log_dir=self.log_dir)
        return self._experiment
