"""All options of a run: types, defaults, units and the checks across groups. The single source of truth.

Components (backbones, sequence heads, data sets) subclass the configs of `model.py` and `data.py` in their own file
and register there. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.config.data import DataConfig
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.config.model import BackboneConfig, ClassifierConfig, SequenceHeadConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.errors import ConfigError, require


@dataclass(frozen=True)
class RunConfig:
    """One training run with its evaluation and benchmark."""

    backbone: BackboneConfig
    """The backbone, by name: backbone=fmn10."""
    seq: SequenceHeadConfig
    """The sequence head, by name: seq=tf; `none` for no head."""
    data: DataConfig
    """The data set, by name: data=synthetic."""
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    task: Literal["detection", "tagging"] = "detection"
    """What is learnt: `detection` is events in time (PSDS1), `tagging` the classes of whole clips (mAP), as in the
    pre-training of a backbone."""
    seed: int = 0
    """Seed of all random numbers, 0 to 4294967295."""
    output_dir: str = "runs"
    """Folder in which the run's own folder is made."""
    logger: Literal["csv", "tensorboard", "wandb"] = "csv"
    """Where metrics go, beside the run's `metrics.csv`, which is always written; wandb stays offline unless
    WANDB_MODE=online."""

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
        require(bool(self.output_dir), "output_dir", "", "the name of a folder, such as runs")
        self._check_start()
        self._check_backbone()
        self._check_data()

    def _check_start(self) -> None:
        train, backbone = self.train, self.backbone
        has_start = backbone.init is not None or train.init_from is not None
        random = "only with backbone.init=NAME, else its features are random"
        require(has_start or not train.is_backbone_frozen, "train.is_backbone_frozen", True, random)
        require(has_start or train.frozen_stages == 0, "train.frozen_stages", train.frozen_stages, random)
        is_one = train.init_from is None or backbone.init is None
        beside = f"not beside backbone.init={backbone.init}; give backbone.init=null to start from the whole model"
        require(is_one, "train.init_from", train.init_from, beside)

    def _check_backbone(self) -> None:
        name, augment = self.backbone.name, self.train.augment
        has_jitter = self.backbone.has_mel_jitter
        is_jittered = not has_jitter and augment.mel_jitter
        require(not is_jittered, "train.augment.mel_jitter", True, f"false with backbone={name}")
        scale = f"0 with backbone={name}, whose spectrogram has another scale"
        for key in ("filter_probability", "time_mask_max"):  # gains and silence of the released models' spectrogram
            value = getattr(augment, key)
            require(has_jitter or value == 0, f"train.augment.{key}", value, scale)
        pooling, has_own = self.classifier.pooling, self.seq.name == "none" and self.backbone.has_own_classifier
        own = f"mean with backbone={name} and seq=none, which have a classifier of their own; give a sequence head"
        require(pooling == "mean" or not has_own, "classifier.pooling", pooling, own)
        is_divided = hasattr(self.backbone, "dilated_size") and self.train.strategy == "deepspeed_stage_2"
        positions = f"ddp with backbone={name}, whose positions are kept inside the kernel"
        require(not is_divided, "train.strategy", self.train.strategy, positions)

    def _check_data(self) -> None:
        train, data, is_tagging = self.train, self.data, self.task == "tagging"
        has_validation = getattr(data, "has_validation_fold", True) or train.select == "last"
        last = "only with train.select=last, or the test would choose the epoch"
        require(has_validation, "data.has_validation_fold", False, last)
        is_taught = data.clip_teacher is None or is_tagging
        require(is_taught, "data.clip_teacher", data.clip_teacher, "only with task=tagging")
        is_smoothed = train.label_smoothing == 0 or is_tagging
        require(is_smoothed, "train.label_smoothing", train.label_smoothing, "0 with task=detection")
        is_balanced = train.activity_balance == 0 or not is_tagging
        require(is_balanced, "train.activity_balance", train.activity_balance, "0 with task=tagging")
        is_pooled = self.classifier.pooling == "mean" or not self.has_single_labels
        one = f"mean with data={data.name} and task=tagging, which choose one class for a clip by softmax"
        require(is_pooled, "classifier.pooling", self.classifier.pooling, one)
        if train.extend_classes:
            is_free = not self.has_single_labels
            softmax = f"false with data={data.name} and task=tagging, which choose one class for a clip by softmax"
            require(is_free, "train.extend_classes", True, softmax)
            require(data.has_labels, "train.extend_classes", True, "false without labels, of which new classes come")
            for key in ("pseudo_labels", "clip_teacher"):
                stored = "null with train.extend_classes=true, whose teacher is the initial model or train.teacher"
                require(not getattr(data, key), f"data.{key}", getattr(data, key), stored)
        given = {
            "data.pseudo_labels": data.pseudo_labels,
            "data.clip_teacher": data.clip_teacher,
            "train.teacher": ",".join(train.teacher),
        }
        teachers = [f"{key}={value}" for key, value in given.items() if value]
        if len(teachers) > 1:
            raise ConfigError(f"{' and '.join(teachers)}: a run has one kind of teacher; give one of them")

    @property
    def has_single_labels(self) -> bool:
        """Whether the task is to choose one class for every clip."""
        return self.data.is_single_label and self.task == "tagging"

    @property
    def has_event_scores(self) -> bool:
        """Whether detection is also scored by events at one threshold."""
        return self.data.has_event_scores and self.task == "detection"
