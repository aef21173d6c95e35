"""Every option of a run: types, defaults, units and cross-field checks. The single source of truth.

Components (backbones, sequence heads, data sets) subclass the base configs below in their own file and register there.
Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from efficient_sed.audio.encoded import parse_channel
from efficient_sed.errors import ConfigError, require

if TYPE_CHECKING:
    from efficient_sed.audio.frontends.mel import FrontEnd
    from efficient_sed.data.events import Splits
    from efficient_sed.models.contracts import Backbone, Classifier, SequenceHead


MAX_CLIP_SECONDS = 3600  # of one window, which goes through a model at once
MAX_HIDDEN = 8192  # ten times the largest released
MAX_WORKERS = 256
MAX_EFPR = 1e9  # false positives an hour
MAX_COUNT = 1_000_000  # of epochs, clips of a batch and the like
MAX_MEDIAN_FRAMES = 9999  # almost seven minutes of 40 ms
ONE_OR_LIST = "one_or_list"  # mark of a field of several names that takes a single one as well
WHOLE = 1e-3  # as near to a whole number of clips as a share that was typed with six digits


def require_median(key: str, median_frames: int) -> None:
    """Raise a ConfigError unless a median filter can have that window."""
    is_window = 1 <= median_frames <= MAX_MEDIAN_FRAMES and median_frames % 2 == 1
    require(is_window, key, median_frames, f"an odd number of frames, at most {MAX_MEDIAN_FRAMES}, 1 for no filter")


@dataclass(frozen=True)
class BackboneConfig:
    """Turns a log-mel spectrogram into one feature vector per step."""

    name: ClassVar[str]

    init: str | None = None
    """Weights to start from, of which only the backbone is taken: a tag (`synthetic` stands for fmn10_synthetic and so on for each backbone,
    `im` and `as` for the ImageNet and AudioSet weights of EfficientAT, `ssl`, `weak` and `strong` for those of PretrainedSED's transformers), a
    released name, timm's name for what it trained on ImageNet (`mobilenetv3_large_100` for fmn10, `convnext_tiny` and so on for its vision
    networks), or a file."""

    timm_name: ClassVar[str | None] = None
    """What timm calls the network with the weights that it trained on ImageNet."""
    has_mel_jitter: ClassVar[bool] = True
    """Whether `train.augment.mel_jitter` can move the edges of its front end's bank."""
    has_clip_layer: ClassVar[bool] = True
    """Whether the clip logits have a linear layer of their own; else they are the frame logits' mean over time."""

    def build(self) -> Backbone:
        raise TypeError(f"{type(self).__name__} does not say how to build a backbone")

    def build_frontend(self) -> FrontEnd:
        """What gives the spectrogram that the backbone takes: the log-mel of the released models."""
        from efficient_sed.audio.frontends.mel import LogMel

        return LogMel()

    def build_classifier(self, num_classes: int) -> Classifier | None:
        """A classifier that belongs to the backbone, for models without a sequence head; none for the usual one."""
        return None


@dataclass(frozen=True)
class SequenceHeadConfig:
    """Models context over the backbone's steps. Heads with a size add a field `hidden`."""

    name: ClassVar[str]

    def build(self, in_dim: int) -> SequenceHead:
        raise TypeError(f"{type(self).__name__} does not say how to build a sequence head")


@dataclass(frozen=True)
class DataConfig:
    """Where clips and their events come from, and how they are fed."""

    name: ClassVar[str]
    default_channel: ClassVar[int | None] = None
    """Counted from 1; None for the mean of all."""
    has_event_scores: ClassVar[bool] = False
    """Whether detection on these data is also scored by events at one threshold, as HEAR does."""
    location_keys: ClassVar[frozenset[str]] = frozenset({"root", "pseudo_labels", "clip_teacher", "clip_teacher_index"})
    """Options that only say where something lies: what decides a training is the content found there."""
    is_single_label: ClassVar[bool] = False
    """Whether every clip holds one class alone: tagging then chooses one, by softmax."""

    clip_seconds: float = 10.0
    """Training clips are cropped at random or zero-padded to this length; longer files are evaluated in windows of it."""
    median_frames: int = 9
    """Window of the median filter on scores, in frames (40 ms for fmn); odd. It belongs to the data: it erases events shorter than half of it."""
    num_workers: int = 2
    """Processes that decode audio; 0 decodes in the training process."""
    channel: str | None = None
    """Channel that is used: mix (the mean of all), first, or a number from 1. Default None: as published for AudioSet first, else mix."""
    on_error: Literal["raise", "skip"] = "raise"
    """What an unreadable audio file does: stop with its name, or be left out and counted in the result."""
    pseudo_labels: str | None = None
    """HDF5 file with a teacher's frame logits (`filenames`, `strong_logits`) for the training clips; `efficient-sed pseudo-label` writes one."""
    clip_teacher: str | None = None
    """Array of a teacher's clip logits (clips x classes, numpy's format) for task=tagging, as published for AudioSet."""
    clip_teacher_index: str | None = None
    """Pickled dictionary from file name to row of `clip_teacher`."""

    def __post_init__(self) -> None:
        require(
            1 <= self.clip_seconds <= MAX_CLIP_SECONDS,
            "data.clip_seconds",
            f"{self.clip_seconds:g}",
            f"1 to {MAX_CLIP_SECONDS} seconds",
        )
        require_median("data.median_frames", self.median_frames)
        if self.channel is not None:
            parse_channel(self.channel, "data.channel")
        require(0 <= self.num_workers <= MAX_WORKERS, "data.num_workers", self.num_workers, f"0 to {MAX_WORKERS}")
        require(
            (self.clip_teacher is None) == (self.clip_teacher_index is None),
            *(
                ("data.clip_teacher", self.clip_teacher)
                if self.clip_teacher_index is None
                else ("data.clip_teacher_index", self.clip_teacher_index)
            ),
            "only data.clip_teacher=NPY and data.clip_teacher_index=PKL together",
        )

    @property
    def has_labels(self) -> bool:
        """Whether training clips have labels, or only what a teacher says of them."""
        return True

    @property
    def channel_number(self) -> int | None:
        """Channel that is used, counted from 1; None for the mean of all."""
        return self.default_channel if self.channel is None else parse_channel(self.channel)

    @property
    def chosen_channel(self) -> str:
        """A channel that is not the data set's own; empty if it is."""
        return "" if self.channel_number == self.default_channel else str(self.channel_number or "mix")

    def identity(self) -> dict[str, Any]:
        """The values that decide what a run computes; part of its signature."""
        left_out = {"num_workers"} | (set() if self.chosen_channel else {"channel"})
        return {key: value for key, value in to_dict(self).items() if key not in left_out}

    def load(self) -> Splits:
        """Read (or first make) the data set and return its clips by part."""
        raise TypeError(f"{type(self).__name__} does not say how to load a data set")


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentations of training batches, in the order in which they are applied; what is on by default is what the released models were trained with."""

    speed_change: float = 0.0
    """Largest relative change of every clip's speed and pitch, by resampling in steps of 0.05: 0.5 for factors of 0.5 to 1.5; 0 for none."""
    pitch_shift: float = 0.0
    """Largest relative change of every clip's pitch at the same speed, by a phase vocoder in steps of 0.05; 0 for none."""
    wave_mix_probability: float = 0.5
    """Share of clips whose waveform is mixed with that of another clip of the batch; labels and teacher are mixed alike."""
    wave_mix_alpha: float = 2.0
    """Parameter of the symmetric Beta distribution of the mixing weight; the clip's own is the larger share."""
    wave_mix_loudness: bool = False
    """Weigh waveforms so that the mixing weight is that of their A-weighted sound pressures, as between-class learning does, not of their amplitudes."""
    mel_jitter: bool = True
    """Draw the edges of the mel bank anew for every batch (low edge 0-10 Hz, high edge 7000 Hz +- 1000)."""
    time_roll_sigma: float = 0.125
    """Standard deviation of the circular shift in time, as a share of the clip; 0 for none."""
    mixup_probability: float = 0.3
    """Share of batches whose spectrograms are mixed pairwise."""
    mixup_alpha: float = 0.2
    """Parameter of the symmetric Beta distribution of the mixing weight."""
    weak_mixup_probability: float = 1.0
    """As mixup_probability, of the weak clips of train.weak_share: they are mixed with each other only, and strong clips with strong ones."""
    weak_mixup_alpha: float = 0.3
    """Parameter of the symmetric Beta distribution of the mixing weight."""
    mixstyle_probability: float = 0.0
    """Share of batches in which clips take on part of another clip's mean and deviation in each mel bin."""
    mixstyle_alpha: float = 0.4
    """Parameter of the symmetric Beta distribution of the mixing weight."""
    filter_probability: float = 0.0
    """Share of batches whose clips are each filtered by three to five random frequency bands."""
    filter_db: float = 6.0
    """Largest gain and attenuation of a band."""
    filter_type: Literal["linear", "step"] = "linear"
    """Gain along frequency: straight lines between the bands' edges, or constant in each band."""
    freq_warp_probability: float = 0.0
    """Share of batches in which a random range of each clip's mel bins is stretched over all of them."""
    freq_warp_min: float = 0.6
    """Smallest such range, as a share of the mel bins."""
    time_mask_max: float = 0.0
    """Longest stretch that is blanked in every clip, in its labels and its teacher too, as a share of the clip; 0 for none, the shortest is 0.05."""
    spec_masks: int = 2
    """SpecAugment: stripes of each kind that are set to the clip's mean in every clip; labels and teacher stay as they are."""
    spec_mask_frames: int = 0
    """What a stripe in time stays below, in frames of the spectrogram; 0 for none."""
    spec_mask_bins: int = 0
    """What a stripe in frequency stays below, in mel bins; 0 for none."""

    def __post_init__(self) -> None:
        for name in ("wave_mix", "mixup", "weak_mixup", "mixstyle", "filter", "freq_warp"):
            probability = getattr(self, f"{name}_probability")
            require(0 <= probability <= 1, f"train.augment.{name}_probability", probability, "0 to 1")
        for name in ("wave_mix_alpha", "mixup_alpha", "weak_mixup_alpha", "mixstyle_alpha"):
            require(getattr(self, name) > 0, f"train.augment.{name}", getattr(self, name), "above 0")
        require(self.time_roll_sigma >= 0, "train.augment.time_roll_sigma", self.time_roll_sigma, "0 or more")
        require(
            self.time_mask_max == 0 or 0.05 <= self.time_mask_max <= 0.9,
            "train.augment.time_mask_max",
            self.time_mask_max,
            "0.05 to 0.9, or 0 for no mask",
        )
        for name in ("speed_change", "pitch_shift"):
            value = getattr(self, name)
            is_step = abs(20 * value - round(20 * value)) < WHOLE
            require(0 <= value <= 0.5 and is_step, f"train.augment.{name}", value, "0 to 0.5 in steps of 0.05")
        is_used = self.wave_mix_probability > 0 or not self.wave_mix_loudness
        require(is_used, "train.augment.wave_mix_loudness", True, "false with train.augment.wave_mix_probability=0")
        require(
            self.spec_masks >= 1,
            "train.augment.spec_masks",
            self.spec_masks,
            "1 or more; train.augment.spec_mask_frames=0 and spec_mask_bins=0 turn them off",
        )
        for name in ("spec_mask_frames", "spec_mask_bins"):
            require(getattr(self, name) >= 0, f"train.augment.{name}", getattr(self, name), "0 or more")
        require(self.filter_db >= 0, "train.augment.filter_db", self.filter_db, "0 dB or more")
        require(0 < self.freq_warp_min <= 1, "train.augment.freq_warp_min", self.freq_warp_min, "above 0, at most 1")


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation: Adam and its kin, layer-wise learning rates and their course."""

    epochs: int = 10
    batch_size: int = 32
    """Clips in one forward pass, of all processes together."""
    accumulate: int = 1
    """Forward passes whose gradients make one step: the effective batch is train.batch_size * train.accumulate."""
    sampler: Literal["uniform", "balanced"] = "uniform"
    """How clips are drawn: all alike, or more often the rarer their classes, with replacement (detection: by frames of each class, tagging: by
    clips; a clip without events is then never drawn)."""
    draws_per_epoch: int | None = None
    """Clips in an epoch, over all processes, weak ones of train.weak_share included; none: as many as there are (strong ones). Published: 100,000."""
    crop_seconds: float | None = None
    """Longest training excerpt, where that is shorter than data.clip_seconds, in which scores are computed; none: as long as that."""
    lr_backbone: float = 3e-3
    """Peak learning rate of the backbone's last stage."""
    lr_head: float = 3e-3
    """Peak learning rate of sequence head and classifier."""
    layer_decay: float = 0.9
    """Factor on the learning rate per backbone stage, from the last towards the first."""
    lr_positions_ratio: float = 5.0
    """Learning rate of learned positions and deviations (backbones with _dcls), as a multiple of their stage's; 5 published. They have no weight decay."""
    optimizer: Literal["adam", "adamw", "lamb"] | None = None
    """None: Adam, or AdamW where there is a weight decay. LAMB is timm's, which clips the gradient to a norm of 1 before anything else."""
    weight_decay: float = 0.0
    """Share of every weight that a step of AdamW takes off, times the learning rate: norms and biases too, as published for DCASE 2016; 0 for Adam.
    LAMB adds that share to a layer's step before it scales it."""
    schedule: Literal["cosine", "one_cycle"] = "cosine"
    """Course of the learning rates: warm-up, then half a cosine down; or one cycle up to the peak in 30 % of the steps and down to nearly 0, with beta1
    the other way, as torch's OneCycleLR has it by default."""
    warmup_steps: int = 5000
    """Steps of linear warm-up before the cosine; the paper's value. Capped at half of the training."""
    final_lr_ratio: float = 0.01
    """Learning rate at the end of the cosine, as a share of the peak."""
    ema_decay: float = 0.0
    """Share that a step leaves of the moving average of all weights, which is then what is validated, evaluated and kept; 0 for none."""
    label_smoothing: float = 0.0
    """Share of every clip label that is spread over all classes; with task=tagging."""
    distillation_weight: float = 0.9
    """Share of the teacher's term in the loss for clips that have a teacher."""
    teacher: tuple[str, ...] = field(default=(), metadata={ONE_OR_LIST: True})
    """Trained models that teach while the student trains, one NAME or [NAME,NAME], each what `load_model` accepts; of several the logits are averaged.
    One with the student's front end hears the very spectrogram that the student gets, mel jitter included: turn that off for a teacher that was
    trained without it. One with another front end hears the same clip, mixed and moved alike, but not what changes a spectrum alone."""
    weak_share: float = 0.0
    """Share of weak clips in every batch and in the teacher's term; 0.5 published. Drawn from data.weak_root, balanced by clips of each class, they
    learn from the frames of train.teacher alone."""
    init_from: str | None = None
    """A trained model of the same architecture to start from, NAME or FILE: backbone and sequence head, and its classifier where the classes are
    the same. `backbone.init` takes the backbone alone, of any model that has it."""
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
    devices: int = 1
    """Processes that share every batch, one for each GPU; on a CPU they only divide its cores. The result is that of one, up to rounding and to what is
    mixed with what, so a training that was stopped may go on with another number of them."""
    strategy: Literal["ddp", "deepspeed_stage_2"] = "ddp"
    """How several processes work together; deepspeed_stage_2 also divides gradients and optimiser state among them. Both write the same checkpoints."""
    validate_every: int = 1
    """Epochs between validations."""
    select: Literal["best", "lowest_loss", "last"] = "best"
    """Which epoch's weights are evaluated and kept: that of the best validation score, of the lowest validation loss, or the last (published)."""
    patience: int | None = None
    """Validations without a better one, by what `select` looks at, after which the training ends; none: it runs all its epochs."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "devices", "validate_every"):
            require(1 <= getattr(self, name) <= MAX_COUNT, f"train.{name}", getattr(self, name), f"1 to {MAX_COUNT}")
        require(
            self.batch_size % self.devices == 0,
            "train.devices",
            self.devices,
            f"a divisor of train.batch_size={self.batch_size}, which they share",
        )
        require(
            self.draws_per_epoch is None or self.draws_per_epoch >= 1,
            "train.draws_per_epoch",
            self.draws_per_epoch,
            "1 or more, or null for one pass",
        )
        require(
            self.crop_seconds is None or self.crop_seconds >= 1,
            "train.crop_seconds",
            self.crop_seconds,
            "1 or more seconds, or null for data.clip_seconds",
        )
        for name in ("lr_backbone", "lr_head"):
            require(getattr(self, name) > 0, f"train.{name}", getattr(self, name), "above 0")
        require(self.lr_positions_ratio >= 0, "train.lr_positions_ratio", self.lr_positions_ratio, "0 or more")
        require(0 < self.layer_decay <= 1, "train.layer_decay", self.layer_decay, "above 0, at most 1")
        require(0 <= self.distillation_weight <= 1, "train.distillation_weight", self.distillation_weight, "0 to 1")
        require(0 <= self.weak_share < 1, "train.weak_share", self.weak_share, "0 to below 1")
        require(
            self.weak_share == 0 or bool(self.teacher),
            "train.weak_share",
            self.weak_share,
            "0 without train.teacher=NAME",
        )
        nearest_share = min(max(self.weak_per_batch, 1), self.batch_size - 1) / self.batch_size
        require(
            self.weak_share == 0
            or (
                0 < self.weak_per_batch < self.batch_size
                and abs(self.weak_per_batch - self.weak_share * self.batch_size) < WHOLE
            ),
            *(
                "train.weak_share",
                self.weak_share,
                f"a whole number of clips of train.batch_size={self.batch_size}; the nearest is {nearest_share:g}",
            ),
        )
        require(
            self.weak_per_batch % self.devices == 0,
            "train.devices",
            self.devices,
            f"a divisor of the {self.weak_per_batch} weak clips of a batch, which they share",
        )
        require(
            len(set(self.teacher)) == len(self.teacher) and all(self.teacher),
            "train.teacher",
            f"[{','.join(self.teacher)}]",
            "names, none empty and none twice",
        )
        require(0 <= self.final_lr_ratio <= 1, "train.final_lr_ratio", self.final_lr_ratio, "0 to 1")
        require(self.weight_decay >= 0, "train.weight_decay", self.weight_decay, "0 or more")
        require(
            self.optimizer != "adam" or self.weight_decay == 0,
            *("train.weight_decay", self.weight_decay, "0 with train.optimizer=adam; give train.optimizer=adamw"),
        )
        for name in ("ema_decay", "label_smoothing"):
            require(0 <= getattr(self, name) < 1, f"train.{name}", getattr(self, name), "0 to below 1")
        if self.strategy == "deepspeed_stage_2":
            there = "with train.strategy=deepspeed_stage_2, which divides the optimiser's state"
            require(self.ema_decay == 0, "train.ema_decay", self.ema_decay, f"0 {there}")
            require(self.optimizer != "lamb", "train.optimizer", "lamb", f"adam or adamw {there}")
            require(self.precision == "32-true", "train.precision", self.precision, f"32-true {there}")
        require(self.warmup_steps >= 0, "train.warmup_steps", self.warmup_steps, "0 or more")
        require(
            0 < self.batchnorm_momentum <= 1, "train.batchnorm_momentum", self.batchnorm_momentum, "above 0, at most 1"
        )
        require(self.patience is None or self.patience >= 1, "train.patience", self.patience, "1 or more, or null")
        require(
            self.patience is None or self.select != "last",
            "train.patience",
            self.patience,
            "null with train.select=last, which looks at no validation",
        )
        require(self.gradient_clip >= 0, "train.gradient_clip", self.gradient_clip, "0 or more")
        require(
            self.epochs % self.validate_every == 0,
            "train.validate_every",
            self.validate_every,
            f"a divisor of train.epochs={self.epochs}, so that the last epoch is validated",
        )

    @property
    def weak_per_batch(self) -> int:
        """Weak clips in every batch."""
        return round(self.weak_share * self.batch_size)


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
    back_end: Literal["exact", "sed_scores_eval", "psds_eval"] = "exact"
    """What computes it: this project itself, or a package of the extra [eval], which keeps all scores in memory."""

    def __post_init__(self) -> None:
        require(0 < self.dtc <= 1, "evaluation.dtc", self.dtc, "above 0, at most 1")
        require(0 < self.gtc <= 1, "evaluation.gtc", self.gtc, "above 0, at most 1")
        require(self.alpha_st >= 0, "evaluation.alpha_st", self.alpha_st, "0 or more")
        require(0 < self.max_efpr <= MAX_EFPR, "evaluation.max_efpr", self.max_efpr, f"above 0, at most {MAX_EFPR:g}")


@dataclass(frozen=True)
class BenchmarkConfig:
    """How complexity is measured."""

    seconds: float = 10.0
    """Length of the clips that MACs, throughput and latency refer to."""
    batch_size: int = 64
    """Clips per forward pass when throughput is measured on a GPU; a CPU takes at most 4."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where speed is measured; auto: in a run where it trains, else on a GPU if there is one."""
    batches: tuple[int, ...] = ()
    """Batch sizes to measure instead, as given on a CPU too; throughput is that of the largest. Latency is that of one clip."""
    precision: tuple[Literal["fp32", "bf16", "fp16"], ...] = field(default=(), metadata={ONE_OR_LIST: True})
    """Number formats of the forward pass, the first one for throughput; none: fp16 on a GPU, as published, and fp32 on a CPU. Half precision on a GPU
    is that of the weights, with autocast in a row of its own."""
    modes: tuple[Literal["eager", "fused", "compiled", "graphed"], ...] = field(
        default=("eager", "fused"), metadata={ONE_OR_LIST: True}
    )
    """The model as it is, its copy for inference, that one by torch.compile (takes a minute), or as a CUDA graph."""
    threads: int | None = None
    """Threads on a CPU, kept to as many cores; none: as many as torch takes."""
    processes: int = 1
    """Above 1: a further row by that many processes of one thread, each on a core of its own."""
    with_mel: bool = False
    """Measure further rows that begin with the waveform."""
    repeats: int = 20
    """Forward passes that are timed one by one, after three that warm up. A GPU's throughput is that of seconds of passes."""

    def __post_init__(self) -> None:
        require(
            0.5 <= self.seconds <= MAX_CLIP_SECONDS,
            "benchmark.seconds",
            f"{self.seconds:g}",
            f"0.5 to {MAX_CLIP_SECONDS} seconds",
        )
        require(self.batch_size >= 1, "benchmark.batch_size", self.batch_size, "1 or more")
        require(
            all(batch >= 1 for batch in self.batches),
            "benchmark.batches",
            ",".join(map(str, self.batches)),
            "1 or more each",
        )
        for name in ("batches", "precision", "modes"):
            values = getattr(self, name)
            require(len(set(values)) == len(values), f"benchmark.{name}", ",".join(map(str, values)), "none twice")
        require(len(self.modes) > 0, "benchmark.modes", "[]", "one or more of eager, fused, compiled, graphed")
        require(self.threads is None or self.threads >= 1, "benchmark.threads", self.threads, "1 or more")
        require(self.processes >= 1, "benchmark.processes", self.processes, "1 or more")
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
    """Where else metrics go, beside the run's `metrics.csv`, which is always written; wandb stays offline unless WANDB_MODE=online."""

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
        require(bool(self.output_dir), "output_dir", "", "the name of a folder, such as runs")
        require(
            not (self.train.is_backbone_frozen and self.backbone.init is None and self.train.init_from is None),
            "train.is_backbone_frozen",
            True,
            "only with backbone.init=NAME, else its features are random",
        )
        require(
            self.train.init_from is None or self.backbone.init is None,
            "train.init_from",
            self.train.init_from,
            f"not beside backbone.init={self.backbone.init}; give backbone.init=null to start from the whole model",
        )
        require(
            self.backbone.has_mel_jitter or not self.train.augment.mel_jitter,
            "train.augment.mel_jitter",
            True,
            f"false with backbone={self.backbone.name}",
        )
        for key in (
            "filter_probability",
            "time_mask_max",
        ):  # their gains and their silence are those of the released models' spectrogram
            value = getattr(self.train.augment, key)
            require(
                self.backbone.has_mel_jitter or value == 0,
                f"train.augment.{key}",
                value,
                f"0 with backbone={self.backbone.name}, whose spectrogram has another scale",
            )
        has_positions = hasattr(self.backbone, "dilated_size")
        divides = self.train.strategy == "deepspeed_stage_2"
        require(
            not (has_positions and divides),
            "train.strategy",
            self.train.strategy,
            f"ddp with backbone={self.backbone.name}, whose positions are kept inside the kernel",
        )
        has_validation = getattr(self.data, "has_validation_fold", True)
        require(
            has_validation or self.train.select == "last",
            "data.has_validation_fold",
            False,
            "only with train.select=last, or the test would choose the epoch",
        )
        require(
            self.data.clip_teacher is None or self.task == "tagging",
            "data.clip_teacher",
            self.data.clip_teacher,
            "only with task=tagging",
        )
        require(
            self.train.label_smoothing == 0 or self.task == "tagging",
            "train.label_smoothing",
            self.train.label_smoothing,
            "0 with task=detection",
        )
        require(
            self.train.weak_share == 0 or self.task == "detection",
            "train.weak_share",
            self.train.weak_share,
            "only with task=detection",
        )
        has_weak = bool(getattr(self.data, "weak_root", None))
        require(
            self.train.weak_share == 0 or has_weak,
            "train.weak_share",
            self.train.weak_share,
            "0 without data=audioset_strong data.weak_root=DIR",
        )
        given = {
            "data.pseudo_labels": self.data.pseudo_labels,
            "data.clip_teacher": self.data.clip_teacher,
            "train.teacher": ",".join(self.train.teacher),
        }
        teachers = [f"{key}={value}" for key, value in given.items() if value]
        if len(teachers) > 1:
            raise ConfigError(f"{' and '.join(teachers)}: a run has one kind of teacher; give one of them")

    @property
    def has_single_labels(self) -> bool:
        return self.data.is_single_label and self.task == "tagging"

    @property
    def has_event_scores(self) -> bool:
        return self.data.has_event_scores and self.task == "detection"


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dictionary of a config; components carry their registered `name`."""
    values: dict[str, Any] = {"name": config.name} if hasattr(config, "name") else {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        values[item.name] = (
            to_dict(value) if dataclasses.is_dataclass(value) else list(value) if isinstance(value, tuple) else value
        )
    return values
