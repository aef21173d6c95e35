"""Options of the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.values import ONE_OR_LIST
from efficient_sed.errors import require

Consistency = Literal["mse", "bce"]

MAX_COUNT = 1_000_000  # of epochs, clips of a batch and the like


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation: batches, learning rates, losses, and the machines that do the work."""

    epochs: int = 10
    """Passes over the training data, or over train.draws_per_epoch clips; 1 or more."""
    batch_size: int = 32
    """Clips in one forward pass, of all processes together; 1 or more."""
    accumulate: int = 1
    """Forward passes whose gradients make one step, 1 or more: a step is made of train.batch_size * train.accumulate
    clips."""
    sampler: Literal["uniform", "balanced"] = "uniform"
    """How clips are drawn: `uniform` takes all alike, `balanced` draws clips of rare classes more often, with
    replacement (detection: by the frames of each class, tagging: by its clips). It never draws a clip without
    events."""
    batch_clips: Mapping[str, int] | None = None
    """Clips of each subset in every batch, such as {strong: 12, weak: 12, unlabelled: 24}; their sum is
    train.batch_size. A data set names its subsets; clips of a subset without a name go by their kind: strong, soft,
    weak or unlabelled. An epoch ends when the first subset has been gone through once. Default null: clips are drawn as
    they come."""
    draws_per_epoch: int | None = None
    """Clips in an epoch, over all processes; 1 or more. Default null: one pass. Published for AudioSet: 100,000."""
    min_steps_per_epoch: int = 0
    """Steps that an epoch has at least, 0 or more: where the data give fewer, their clips are drawn several times, each
    time another excerpt, mix and roll; train.draws_per_epoch goes before it. Default 0: as many as the data give."""
    crop_seconds: float | None = None
    """Longest training excerpt in seconds, 1 or more, where it is shorter than data.clip_seconds, in which scores are
    computed. Default null: data.clip_seconds."""
    lr_backbone: float = 3e-3
    """Peak learning rate of the backbone's last stage; above 0."""
    lr_head: float = 3e-3
    """Peak learning rate of sequence head and classifier; above 0."""
    layer_decay: float = 0.9
    """Factor on the learning rate from one backbone stage to the one before it; above 0, at most 1."""
    lr_positions_ratio: float = 5.0
    """Learning rate of learned positions and deviations (backbones with _dcls) as a multiple of their stage's, 0 or
    more; 5 as published. They have no weight decay."""
    optimizer: Literal["adam", "adamw", "lamb"] | None = None
    """Optimiser. Default null: Adam, or AdamW where there is a weight decay. `lamb` is timm's, which clips the gradient
    to a norm of 1 first."""
    weight_decay: float = 0.0
    """Share of every weight that a step of AdamW takes off, times the learning rate, 0 or more; norms and biases too,
    as published for DCASE 2016. LAMB adds that share to a layer's step before it scales it. Default 0: none."""
    schedule: Literal["cosine", "one_cycle"] = "cosine"
    """Course of the learning rates: `cosine` is a warm-up and half a cosine down; `one_cycle` rises to the peak in 30 %
    of the steps and falls to nearly 0, with beta1 the other way, as torch's OneCycleLR does by default."""
    warmup_steps: int = 5000
    """Steps of linear warm-up before the cosine, 0 or more; 5000 as published. At most half of the training is used."""
    final_lr_ratio: float = 0.01
    """Learning rate at the end of the cosine as a share of the peak, 0 to 1."""
    ema_decay: float = 0.0
    """Share that a step leaves of the moving average of all weights, 0 to below 1. The average is then what is
    validated, evaluated and kept. Default 0: no average."""
    label_smoothing: float = 0.0
    """Share of every clip label that is spread over all classes, 0 to below 1; with task=tagging. Default 0: none."""
    activity_balance: float = 0.0
    """How far detection makes up for classes that are short or rare: a frame with a class weighs as much as (frames
    without / frames with it) to this power of those without, over the training part; 0 to 1. Without it sounds of a
    fifth of a second are learnt long after those of seconds. With it scores are higher than probabilities. Default 0:
    every frame weighs the same, as published."""
    distillation_weight: float = 0.9
    """Share of the teacher's term in the loss, 0 to 1, for clips that have a teacher."""
    teacher: tuple[str, ...] = field(default=(), metadata={ONE_OR_LIST: True})
    """Trained models that teach during the training: one NAME or [NAME,NAME], each a name or file that `load_model`
    accepts; the logits of several are averaged. Default []: none.

    A teacher with the student's front end gets the student's spectrogram, mel jitter included: turn that off for a
    teacher that was trained without it. Another front end gets the same clip, mixed and moved alike, but without
    augmentations of the spectrum alone.
    """
    mean_teacher: bool = False
    """Whether a moving average of the model, the mean teacher, teaches on all clips but those with soft labels: the
    loss takes in the difference of both models' scores, of frames and of clips. Both get the same clip, mixed and moved
    alike, but what augments a spectrum alone is for the student. The teacher is what is validated, chosen and kept; the
    student's validation scores are logged beside it, as val_student."""
    consistency: Consistency = "mse"
    """The difference: `mse`, squared, as in the baselines of DCASE Task 4, or `bce`, cross-entropy, which moves a
    student that is sure and wrong faster."""
    mean_teacher_decay: float = 0.999
    """Share that a step leaves of the mean teacher's weights, above 0 and below 1; smaller in the first steps, in which
    the teacher is the plain mean of all students so far."""
    consistency_weight: float = 2.0
    """Largest weight of the mean teacher's term in the loss, above 0."""
    ramp_up_epochs: int | None = None
    """Epochs in which that weight rises to its largest, as exp(-5 (1 - x)^2); 1 or more. Default null: a quarter of
    train.epochs, as published (50 of 200)."""
    init_from: str | None = None
    """A trained model of the same architecture to start from, NAME, hf:user/name or FILE: its backbone and sequence
    head, and its classifier where the classes are the same. Default null: none. backbone.init takes the backbone alone,
    of any model."""
    extend_classes: bool = False
    """Whether the outputs of train.init_from are kept, and the data set's new classes come behind them. A clip's labels
    then count for the classes of its own data set alone; on the others the initial model, or train.teacher, teaches, so
    that they are not forgotten. Labels that both have are one class."""
    extend_weight: float = 0.5
    """Share of that teacher's term in the loss with train.extend_classes, 0 to below 1; 0: nothing teaches. It goes in
    the place of train.distillation_weight."""
    is_backbone_frozen: bool = False
    """Whether only head and classifier are trained, on the features of the initial backbone."""
    frozen_stages: int = 0
    """Stages of the backbone, from the input on, that are not trained, 0 or more: they cost a forward pass and no
    backward pass, the first of them on the largest maps. fmn has 17; layer-wise decay gives the first a fifth of the
    last one's rate. Default 0: all are trained."""
    is_batchnorm_frozen: bool = False
    """Whether the running statistics of BatchNorm stay as they are: for short trainings from pre-trained weights."""
    batchnorm_momentum: float = 0.01
    """Weight of a batch in the running statistics, above 0, at most 1: 0.01 as published, 0.1 for short trainings from
    scratch."""
    gradient_clip: float = 0.0
    """Maximum norm of the gradient, 0 or more. Default 0: no clipping."""
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    """Number format of the computation, by Lightning's names; 16-mixed needs a GPU."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; `auto` takes a GPU if there is one."""
    devices: int = 1
    """Processes that share every batch, one for each GPU; on a CPU they divide its cores. It must divide
    train.batch_size. The result is that of one process but for rounding and the pairs that are mixed (and, where clips
    of several kinds are drawn without train.batch_clips, for means over the kinds in each process), so a training may
    be resumed with another number."""
    strategy: Literal["ddp", "deepspeed_stage_2"] = "ddp"
    """How several processes work together; deepspeed_stage_2 also divides gradients and optimiser state among them.
    Both write the same checkpoints."""
    validate_every: int = 1
    """Epochs from one validation to the next; a divisor of train.epochs."""
    select: Literal["best", "lowest_loss", "last"] = "best"
    """Epoch whose weights are evaluated and kept: `best` has the best validation score, `lowest_loss` the lowest
    validation loss, `last` is the last one (as published)."""
    patience: int | None = None
    """Validations without a better one, by what train.select looks at, after which the training ends; 1 or more.
    Default null: it runs all its epochs."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "devices", "validate_every"):
            require(1 <= getattr(self, name) <= MAX_COUNT, f"train.{name}", getattr(self, name), f"1 to {MAX_COUNT}")
        self._check_batches()
        self._check_batch_clips()
        self._check_teachers()
        self._check_rates()
        self._check_strategy()
        self._check_end()

    def _check_batches(self) -> None:
        is_shared = self.batch_size % self.devices == 0
        whole = f"a divisor of train.batch_size={self.batch_size}, which they share"
        require(is_shared, "train.devices", self.devices, whole)
        is_epoch = self.draws_per_epoch is None or self.draws_per_epoch >= 1
        require(is_epoch, "train.draws_per_epoch", self.draws_per_epoch, "1 or more, or null for one pass")
        is_crop = self.crop_seconds is None or self.crop_seconds >= 1
        allowed = "1 or more seconds, or null for data.clip_seconds"
        require(is_crop, "train.crop_seconds", self.crop_seconds, allowed)

    def _check_batch_clips(self) -> None:
        if self.batch_clips is None:
            return
        key, clips = "train.batch_clips", dict(self.batch_clips)
        are_counts = all(type(number) is int and number >= 1 for number in clips.values())
        require(bool(clips) and are_counts, key, clips, "a table of subsets and clips, 1 or more of each")
        total, typed = sum(clips.values()), f"{{{', '.join(f'{name}: {number}' for name, number in clips.items())}}}"
        same = f"its sum is {total}, and has to be train.batch_size={self.batch_size}"
        require(total == self.batch_size, key, typed, same)
        is_shared = all(number % self.devices == 0 for number in clips.values())
        require(is_shared, "train.devices", self.devices, f"a divisor of every number in {key}={typed}")

    def _check_teachers(self) -> None:
        are_names = len(set(self.teacher)) == len(self.teacher) and all(self.teacher)
        require(are_names, "train.teacher", f"[{','.join(self.teacher)}]", "names, none empty and none twice")
        require(0 <= self.activity_balance <= 1, "train.activity_balance", self.activity_balance, "0 to 1")
        require(0 <= self.distillation_weight <= 1, "train.distillation_weight", self.distillation_weight, "0 to 1")
        is_start = not self.extend_classes or self.init_from is not None
        require(is_start, "train.extend_classes", True, "only with train.init_from=NAME, whose classes are kept")
        require(0 <= self.extend_weight < 1, "train.extend_weight", self.extend_weight, "0 to below 1")
        decay, epochs = self.mean_teacher_decay, self.ramp_up_epochs
        require(0 < decay < 1, "train.mean_teacher_decay", decay, "above 0 and below 1")
        require(self.consistency_weight > 0, "train.consistency_weight", self.consistency_weight, "above 0")
        require(epochs is None or epochs >= 1, "train.ramp_up_epochs", epochs, "1 or more, or null")
        average = "0 with train.mean_teacher=true, whose teacher is such an average (train.mean_teacher_decay)"
        require(not self.mean_teacher or self.ema_decay == 0, "train.ema_decay", self.ema_decay, average)

    def _check_rates(self) -> None:
        for name in ("lr_backbone", "lr_head"):
            require(getattr(self, name) > 0, f"train.{name}", getattr(self, name), "above 0")
        for name in (
            "lr_positions_ratio",
            "weight_decay",
            "warmup_steps",
            "gradient_clip",
            "frozen_stages",
            "min_steps_per_epoch",
        ):
            require(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "0 or more")
        for name in ("layer_decay", "batchnorm_momentum"):
            require(0 < getattr(self, name) <= 1, f"train.{name}", getattr(self, name), "above 0, at most 1")
        for name in ("ema_decay", "label_smoothing"):
            require(0 <= getattr(self, name) < 1, f"train.{name}", getattr(self, name), "0 to below 1")
        require(0 <= self.final_lr_ratio <= 1, "train.final_lr_ratio", self.final_lr_ratio, "0 to 1")
        has_decay = self.optimizer != "adam" or self.weight_decay == 0
        advice = "0 with train.optimizer=adam; give train.optimizer=adamw"
        require(has_decay, "train.weight_decay", self.weight_decay, advice)

    def _check_strategy(self) -> None:
        if self.strategy == "deepspeed_stage_2":
            there = "with train.strategy=deepspeed_stage_2, which divides the optimiser's state"
            require(self.ema_decay == 0, "train.ema_decay", self.ema_decay, f"0 {there}")
            require(not self.mean_teacher, "train.mean_teacher", True, f"false {there}")
            require(self.optimizer != "lamb", "train.optimizer", "lamb", f"adam or adamw {there}")
            require(self.precision == "32-true", "train.precision", self.precision, f"32-true {there}")

    def _check_end(self) -> None:
        require(self.patience is None or self.patience >= 1, "train.patience", self.patience, "1 or more, or null")
        is_looked_at = self.patience is None or self.select != "last"
        last = "null with train.select=last, which looks at no validation"
        require(is_looked_at, "train.patience", self.patience, last)
        epochs = f"a divisor of train.epochs={self.epochs}, so that the last epoch is validated"
        require(self.epochs % self.validate_every == 0, "train.validate_every", self.validate_every, epochs)

    @property
    def teachers(self) -> tuple[str, ...]:
        """Models that teach during the training: `teacher`, or, where its classes are extended, the initial model."""
        if self.extend_classes and self.init_from is not None and not self.teacher:
            return (self.init_from,) if self.extend_weight > 0 else ()
        return self.teacher

    @property
    def teacher_weight(self) -> float:
        """Share of the teacher's term in the loss."""
        return self.extend_weight if self.extend_classes else self.distillation_weight

    def draws(self, num_clips: Mapping[str, int]) -> int:
        """Clips in an epoch over all processes.

        Args:
            num_clips: Training clips by subset.
        """
        if self.draws_per_epoch is not None:
            return self.draws_per_epoch
        one_pass = sum(num_clips.values())
        if self.batch_clips is not None:
            one_pass = self.batch_size * min(num_clips[name] // number for name, number in self.batch_clips.items())
        return max(one_pass, self.min_steps_per_epoch * self.accumulate * self.batch_size)
