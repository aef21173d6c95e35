"""Every option of a run: types, defaults, units and cross-field checks. The single source of truth.

Components (backbones, sequence heads, data sets) subclass the base configs below in their own file and register there.
Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from efficient_sed.errors import ConfigError

if TYPE_CHECKING:
    from efficient_sed.data.events import Splits
    from efficient_sed.models.contracts import Backbone, SequenceHead


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raise a ConfigError that names key, value and what is allowed, unless the condition holds."""
    if not condition:
        raise ConfigError(f"{key}={value} is not allowed: {allowed}")


@dataclass(frozen=True)
class BackboneConfig:
    """Turns a log-mel spectrogram into one feature vector per step."""

    name: ClassVar[str]

    init: str | None = None
    """Weights to start from, of which only the backbone is taken: a tag (`synthetic` stands for fmn10_synthetic and so on for each backbone,
    `im` and `as` for the ImageNet and AudioSet weights of EfficientAT), a released name, `mobilenetv3_large_100` from timm, or a file."""

    def build(self) -> Backbone:
        raise TypeError(f"{type(self).__name__} does not say how to build a backbone")


@dataclass(frozen=True)
class SequenceHeadConfig:
    """Models context over the backbone's steps. Heads with a size add a field `hidden`."""

    name: ClassVar[str]

    def build(self, in_dim: int) -> SequenceHead:
        raise TypeError(f"{type(self).__name__} does not say how to build a sequence head")


def architecture_name(backbone: BackboneConfig, seq: SequenceHeadConfig) -> str:
    """A model's name in the grammar `<backbone>[+<head>-<hidden>]`."""
    hidden = getattr(seq, "hidden", None)
    return backbone.name if hidden is None else f"{backbone.name}+{seq.name}-{hidden}"


@dataclass(frozen=True)
class DataConfig:
    """Where clips and their events come from, and how they are fed."""

    name: ClassVar[str]

    clip_seconds: int = 10
    """Training clips are cropped at random or zero-padded to this length; longer files are evaluated in windows of it."""
    median_frames: int = 9
    """Window of the median filter on scores, in frames of 40 ms; odd. It belongs to the data: it erases events shorter than half of it."""
    num_workers: int = 2
    """Processes that decode audio; 0 decodes in the training process."""
    on_error: Literal["raise", "skip"] = "raise"
    """What an unreadable audio file does: stop with its name, or be left out and counted in the result."""
    pseudo_labels: str | None = None
    """HDF5 file with a teacher's frame logits (`filenames`, `strong_logits`) for the training clips."""

    def __post_init__(self) -> None:
        require(self.clip_seconds >= 1, "data.clip_seconds", self.clip_seconds, "1 or more seconds")
        require(self.median_frames >= 1 and self.median_frames % 2 == 1, "data.median_frames", self.median_frames, "an odd number of frames, 1 for no filter")
        require(self.num_workers >= 0, "data.num_workers", self.num_workers, "0 or more")

    def identity(self) -> dict[str, Any]:
        """The values that decide what a run computes; part of its signature."""
        return {key: value for key, value in to_dict(self).items() if key != "num_workers"}

    def load(self) -> Splits:
        """Read (or first make) the data set and return its clips by part."""
        raise TypeError(f"{type(self).__name__} does not say how to load a data set")


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentations of training batches; Morocutti et al. 2025, section III-B."""

    mixup_probability: float = 0.3
    """Share of batches whose spectrograms are mixed pairwise."""
    mixup_alpha: float = 0.2
    """Parameter of the symmetric Beta distribution of the mixing weight."""
    time_roll_sigma: float = 0.125
    """Standard deviation of the circular shift in time, as a share of the clip; 0 for none."""
    mel_jitter: bool = True
    """Draw the edges of the mel bank anew for every batch (low edge 0-10 Hz, high edge 7000 Hz +- 1000)."""

    def __post_init__(self) -> None:
        require(0 <= self.mixup_probability <= 1, "train.augment.mixup_probability", self.mixup_probability, "0 to 1")
        require(self.mixup_alpha > 0, "train.augment.mixup_alpha", self.mixup_alpha, "above 0")
        require(self.time_roll_sigma >= 0, "train.augment.time_roll_sigma", self.time_roll_sigma, "0 or more")


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation: Adam without weight decay, layer-wise learning rates, warm-up and cosine."""

    epochs: int = 10
    batch_size: int = 32
    lr_backbone: float = 3e-3
    """Peak learning rate of the backbone's last stage."""
    lr_head: float = 3e-3
    """Peak learning rate of sequence head and classifier."""
    layer_decay: float = 0.9
    """Factor on the learning rate per backbone stage, from the last towards the first."""
    warmup_steps: int = 5000
    """Steps of linear warm-up; the paper's value. Capped at a third of the training."""
    final_lr_ratio: float = 0.01
    """Learning rate at the end of the cosine, as a share of the peak."""
    distillation_weight: float = 0.9
    """Share of the teacher's term in the loss for clips that have a teacher."""
    is_backbone_frozen: bool = False
    """Train head and classifier only, on the features of the initial backbone."""
    is_batchnorm_frozen: bool = False
    """Keep the running statistics of BatchNorm as they are: for short trainings from pre-trained weights."""
    batchnorm_momentum: float = 0.01
    """Weight of a batch in the running statistics; 0.01 as published, 0.1 for short trainings from scratch."""
    gradient_clip: float = 0.0
    """Maximum norm of the gradient; 0 for no clipping."""
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    validate_every: int = 1
    """Epochs between validations."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validate_every"):
            require(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "1 or more")
        for name in ("lr_backbone", "lr_head"):
            require(getattr(self, name) > 0, f"train.{name}", getattr(self, name), "above 0")
        require(0 < self.layer_decay <= 1, "train.layer_decay", self.layer_decay, "above 0, at most 1")
        require(0 <= self.distillation_weight <= 1, "train.distillation_weight", self.distillation_weight, "0 to 1")
        require(0 <= self.final_lr_ratio <= 1, "train.final_lr_ratio", self.final_lr_ratio, "0 to 1")
        require(self.warmup_steps >= 0, "train.warmup_steps", self.warmup_steps, "0 or more")
        require(0 < self.batchnorm_momentum <= 1, "train.batchnorm_momentum", self.batchnorm_momentum, "above 0, at most 1")
        require(self.gradient_clip >= 0, "train.gradient_clip", self.gradient_clip, "0 or more")
        require(
            self.epochs % self.validate_every == 0, "train.validate_every", self.validate_every, f"a divisor of train.epochs={self.epochs}, so that the last epoch is validated"
        )


@dataclass(frozen=True)
class EvaluationConfig:
    """Parameters of PSDS1 (facts: detection and ground-truth tolerance 0.7, no cross-trigger cost)."""

    dtc: float = 0.7
    """Detection tolerance criterion: share of a detection that ground truth must cover."""
    gtc: float = 0.7
    """Ground-truth intersection criterion: share of an event that detections must cover."""
    alpha_st: float = 1.0
    """Cost of instability across classes; the macro value beside it has none."""
    max_efpr: float = 100.0
    """False positives an hour at which the ROC is cut."""

    def __post_init__(self) -> None:
        require(0 < self.dtc <= 1, "evaluation.dtc", self.dtc, "above 0, at most 1")
        require(0 < self.gtc <= 1, "evaluation.gtc", self.gtc, "above 0, at most 1")
        require(self.alpha_st >= 0, "evaluation.alpha_st", self.alpha_st, "0 or more")
        require(self.max_efpr > 0, "evaluation.max_efpr", self.max_efpr, "above 0")


@dataclass(frozen=True)
class BenchmarkConfig:
    """How complexity is measured."""

    seconds: float = 10.0
    """Length of the clips that MACs, throughput and latency refer to."""
    batch_size: int = 64
    """Clips per forward pass when throughput is measured on a GPU; a CPU takes at most 4."""
    precision: Literal["fp32", "bf16", "fp16"] | None = None
    """Number format of the forward pass; none: fp16 on a GPU, as published, and fp32 on a CPU."""
    repeats: int = 20
    """Timed forward passes, after three that warm up."""

    def __post_init__(self) -> None:
        require(self.seconds >= 0.5, "benchmark.seconds", self.seconds, "at least 0.5 s")
        require(self.batch_size >= 1, "benchmark.batch_size", self.batch_size, "1 or more")
        require(self.repeats >= 3, "benchmark.repeats", self.repeats, "3 or more")


@dataclass(frozen=True)
class RunConfig:
    """One training run with its evaluation and benchmark."""

    backbone: BackboneConfig
    seq: SequenceHeadConfig
    data: DataConfig
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    task: Literal["detection", "tagging"] = "detection"
    """Train on events in time (PSDS1), or on the classes of whole clips (mAP): the pre-training of a backbone."""
    seed: int = 0
    output_dir: str = "runs"
    """Folder in which the run's own folder is made."""
    logger: Literal["csv", "tensorboard", "wandb"] = "csv"

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
        require(
            not (self.train.is_backbone_frozen and self.backbone.init is None),
            "train.is_backbone_frozen",
            True,
            "only with backbone.init=NAME, else its features are random",
        )

    @property
    def model_name(self) -> str:
        return architecture_name(self.backbone, self.seq)


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dictionary of a config; components carry their registered `name`."""
    values: dict[str, Any] = {"name": config.name} if hasattr(config, "name") else {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        values[item.name] = to_dict(value) if dataclasses.is_dataclass(value) else list(value) if isinstance(value, tuple) else value
    return values
