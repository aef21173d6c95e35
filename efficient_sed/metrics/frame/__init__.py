"""Frame-based metrics."""

from efficient_sed.metrics.frame.metric import FrameCounts as FrameCounts
