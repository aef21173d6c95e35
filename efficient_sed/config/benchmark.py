"""Options of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from efficient_sed.config.values import MAX_CLIP_SECONDS, ONE_OR_LIST
from efficient_sed.errors import require


@dataclass(frozen=True)
class BenchmarkConfig:
    """How complexity and speed are measured."""

    seconds: float = 10.0
    """Length in seconds of the clips that MACs, throughput and latency refer to, 0.5 to 3600."""
    batch_size: int = 64
    """Clips in a forward pass when throughput is measured on a GPU, 1 or more; a CPU takes at most 4."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where speed is measured. `auto`: in a run where it trains, else on a GPU if there is one."""
    batches: tuple[int, ...] = ()
    """Batch sizes to measure instead of batch_size, on a CPU too; throughput is that of the largest. Default []:
    batch_size alone. Latency is always that of one clip."""
    precision: tuple[Literal["fp32", "bf16", "fp16"], ...] = field(default=(), metadata={ONE_OR_LIST: True})
    """Number formats of the forward pass; throughput is that of the first. Default []: fp16 on a GPU, as published, and
    fp32 on a CPU. Half precision on a GPU is that of the weights, with autocast in a row of its own."""
    modes: tuple[Literal["eager", "fused", "compiled", "graphed"], ...] = field(
        default=("eager", "fused"), metadata={ONE_OR_LIST: True}
    )
    """Forms of the model to measure: `eager` as it is, `fused` its copy for inference, `compiled` that copy by
    torch.compile (takes a minute), `graphed` that copy as a CUDA graph."""
    threads: int | None = None
    """Threads on a CPU, pinned to as many cores, 1 or more. Default null: as many as torch takes."""
    processes: int = 1
    """If above 1, a further row is measured by that many processes of one thread, each on a core of its own."""
    with_mel: bool = False
    """Whether further rows are measured that begin with the waveform instead of the spectrogram."""
    repeats: int = 20
    """Forward passes that are timed one by one, 3 or more, after three to warm up. A GPU's throughput is that of passes
    over some seconds."""

    clock: Literal["wall", "cpu"] = "wall"
    """What times a pass: `wall`, or on a CPU with one thread `cpu`, the time that it computes, which other programs on
    a shared machine hardly lengthen."""

    def __post_init__(self) -> None:
        is_length = 0.5 <= self.seconds <= MAX_CLIP_SECONDS
        require(is_length, "benchmark.seconds", f"{self.seconds:g}", f"0.5 to {MAX_CLIP_SECONDS} seconds")
        require(self.batch_size >= 1, "benchmark.batch_size", self.batch_size, "1 or more")
        are_sizes = all(batch >= 1 for batch in self.batches)
        require(are_sizes, "benchmark.batches", ",".join(map(str, self.batches)), "1 or more each")
        for name in ("batches", "precision", "modes"):
            values = getattr(self, name)
            require(len(set(values)) == len(values), f"benchmark.{name}", ",".join(map(str, values)), "none twice")
        require(len(self.modes) > 0, "benchmark.modes", "[]", "one or more of eager, fused, compiled, graphed")
        require(self.threads is None or self.threads >= 1, "benchmark.threads", self.threads, "1 or more")
        require(self.processes >= 1, "benchmark.processes", self.processes, "1 or more")
        is_one = self.clock == "wall" or (self.threads in (None, 1) and self.processes == 1)
        require(is_one, "benchmark.clock", self.clock, "wall, where several threads or processes compute")
        require(self.repeats >= 3, "benchmark.repeats", self.repeats, "3 or more")
