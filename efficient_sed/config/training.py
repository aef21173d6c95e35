"""Options of the training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.values import ONE_OR_LIST, WHOLE
from efficient_sed.errors import require

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
    draws_per_epoch: int | None = None
    """Clips in an epoch, over all processes and with the weak ones of train.weak_share; 1 or more. Default null: as
    many as there are strong clips. Published for AudioSet: 100,000."""
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
    distillation_weight: float = 0.9
    """Share of the teacher's term in the loss, 0 to 1, for clips that have a teacher."""
    teacher: tuple[str, ...] = field(default=(), metadata={ONE_OR_LIST: True})
    """Trained models that teach during the training: one NAME or [NAME,NAME], each a name or file that `load_model`
    accepts; the logits of several are averaged. Default []: none.

    A teacher with the student's front end gets the student's spectrogram, mel jitter included: turn that off for a
    teacher that was trained without it. Another front end gets the same clip, mixed and moved alike, but without
    augmentations of the spectrum alone.
    """
    weak_share: float = 0.0
    """Share of weak clips in every batch and in the teacher's term, 0 to below 1; 0.5 as published. They are drawn from
    data.weak_root, balanced by class, and learn from the frames of train.teacher alone. Default 0: none."""
    init_from: str | None = None
    """A trained model of the same architecture to start from, NAME or FILE: its backbone and sequence head, and its
    classifier where the classes are the same. Default null: none. backbone.init takes the backbone alone, of any
    model."""
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
    train.batch_size. The result is that of one process but for rounding and the pairs that are mixed, so a training
    may be resumed with another number."""
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
        self._check_weak_share()
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

    def _check_weak_share(self) -> None:
        key, share, batch_size = "train.weak_share", self.weak_share, self.batch_size
        require(0 <= share < 1, key, share, "0 to below 1")
        require(share == 0 or bool(self.teacher), key, share, "0 without train.teacher=NAME")
        nearest_share = min(max(self.weak_per_batch, 1), batch_size - 1) / batch_size
        is_whole = 0 < self.weak_per_batch < batch_size and abs(self.weak_per_batch - share * batch_size) < WHOLE
        clips = f"a whole number of clips of train.batch_size={batch_size}; the nearest is {nearest_share:g}"
        require(share == 0 or is_whole, key, share, clips)
        shared = f"a divisor of the {self.weak_per_batch} weak clips of a batch, which they share"
        require(self.weak_per_batch % self.devices == 0, "train.devices", self.devices, shared)
        are_names = len(set(self.teacher)) == len(self.teacher) and all(self.teacher)
        require(are_names, "train.teacher", f"[{','.join(self.teacher)}]", "names, none empty and none twice")
        require(0 <= self.distillation_weight <= 1, "train.distillation_weight", self.distillation_weight, "0 to 1")

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
            require(self.optimizer != "lamb", "train.optimizer", "lamb", f"adam or adamw {there}")
            require(self.precision == "32-true", "train.precision", self.precision, f"32-true {there}")

    def _check_end(self) -> None:
        require(self.patience is None or self.patience >= 1, "train.patience", self.patience, "1 or more, or null")
        is_looked_at = self.patience is None or self.select != "last"
        last = "null with train.select=last, which looks at no validation"
        require(is_looked_at, "train.patience", self.patience, last)
        epochs = f"a divisor of train.epochs={self.epochs}, so that the last epoch is validated"
        require(self.epochs % self.validate_every == 0, "train.validate_every", self.validate_every, epochs)

    def draws(self, num_clips: int) -> int | None:
        """Clips in an epoch over all processes, with the weak ones of train.weak_share; None for one pass.

        Args:
            num_clips: Strong training clips.
        """
        least = self.min_steps_per_epoch * self.accumulate * self.batch_size
        is_enough = num_clips * self.batch_size >= least * (self.batch_size - self.weak_per_batch)
        return self.draws_per_epoch if self.draws_per_epoch is not None or is_enough else least

    @property
    def weak_per_batch(self) -> int:
        """Weak clips in every batch."""
        return round(self.weak_share * self.batch_size)
