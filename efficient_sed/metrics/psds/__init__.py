"""Polyphonic sound detection score (PSDS)."""

from efficient_sed.metrics.psds.metric import Psds2Metric as Psds2Metric
from efficient_sed.metrics.psds.metric import PsdsMetric as PsdsMetric
