"""DeepSpeed's ZeRO stage 2 with the checkpoints of any other training.

Lightning's own `DeepSpeedStrategy` writes a folder with one part for each process, which only as many processes can
read again, and which is no checkpoint that `load_model` takes. Here a training may be resumed with or without
DeepSpeed, in any number of processes. For that the optimiser's state is gathered from DeepSpeed's partitions when a
checkpoint is written, and divided again when one is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy
from torch.optim import Optimizer

STATE_TENSORS = ("exp_avg", "exp_avg_sq")  # of Adam and AdamW


class DeepSpeedStageTwo(DeepSpeedStrategy):
    """Divides gradients and optimiser state among the processes.

    Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054. A checkpoint holds the whole state in the form of torch's
    optimisers.
    """

    def __init__(self) -> None:
        super().__init__(stage=2)

    def setup_environment(self) -> None:
        """Set up as DDP does: Lightning's own method refuses CPUs, on which DeepSpeed runs as well."""
        DDPStrategy.setup_environment(self)

    def setup_distributed(self) -> None:
        """Let the processes find each other, on CPUs too."""
        if self.root_device.type != "cpu":
            super().setup_distributed()
            return
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        self.set_world_ranks()
        self._init_deepspeed_distributed()

    def setup(self, trainer: Trainer) -> None:
        """Share the statistics of BatchNorm, then set up as Lightning does."""
        if self._layer_sync and self.model is not None:
            self.model = self._layer_sync.apply(self.model)
        super().setup(trainer)

    def _setup_model_and_optimizer(self, model: Any, optimizer: Any, lr_scheduler: Any = None) -> tuple[Any, Any]:
        import deepspeed

        for parameter in model.parameters():
            # DeepSpeed sends bytes, and knows one memory layout
            parameter.data = parameter.data.flatten().view(parameter.shape)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        engine, wrapped, _, _ = deepspeed.initialize(
            model=model,
            model_parameters=parameters,
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            config=self.config,
            dist_init_required=False,
        )
        return engine, wrapped  # Lightning's method names the device by its number, and a CPU has none

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write one file, as any other strategy."""
        DDPStrategy.save_checkpoint(self, checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read one file, as any other strategy."""
        return DDPStrategy.load_checkpoint(self, checkpoint_path, weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take over weights, and copy them into DeepSpeed's partitions."""
        DDPStrategy.load_model_state_dict(self, checkpoint, strict)
        self._zero.refresh_fp32_params()

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Whether Lightning hands the stored state over to `load_optimizer_state_dict`."""
        return True

    @property
    def _zero(self) -> Any:
        """DeepSpeed's optimiser, around the one that torch gave it."""
        return self.optimizers[0]

    def _parameters(self) -> Iterator[tuple[int, int, torch.nn.Parameter]]:
        """Every parameter with its number among all, as torch counts them, and the number of its group."""
        number = 0
        for group, parameters in enumerate(self._zero.bit16_groups):
            for parameter in parameters:
                yield number, group, parameter
                number += 1

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state that the optimiser would have in one process; all processes have to call it."""
        zero = self._zero
        state: dict[int, Any] = {}
        members: list[list[int]] = [[] for _ in zero.bit16_groups]
        for number, group, parameter in self._parameters():
            members[group].append(number)
            own = zero.optimizer.state.get(zero.single_partition_of_fp32_groups[group])
            if own:  # after the first step
                state[number] = {
                    "step": torch.as_tensor(own["step"]).cpu().clone(),
                    **{key: _gather(parameter, own[key]) for key in STATE_TENSORS},
                }
        groups = [
            {**group, "params": numbers} for group, numbers in zip(zero.optimizer.param_groups, members, strict=True)
        ]
        return {"state": state, "param_groups": groups}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Divide the stored state of the optimiser among DeepSpeed's partitions."""
        zero, (stored,) = self._zero, checkpoint["optimizer_states"]
        for group, values in zip(zero.optimizer.param_groups, stored["param_groups"], strict=True):
            group.update({key: value for key, value in values.items() if key != "params"})
        for number, index, parameter in self._parameters():
            if number in stored["state"]:
                values, partition = stored["state"][number], zero.single_partition_of_fp32_groups[index]
                if partition not in zero.optimizer.state:
                    zero.optimizer.state[partition] = {
                        "step": values["step"].clone(),
                        **{key: torch.zeros_like(partition) for key in STATE_TENSORS},
                    }
                for key in STATE_TENSORS:
                    _take_own(parameter, values[key], zero.optimizer.state[partition][key])


def _gather(parameter: torch.nn.Parameter, partition: torch.Tensor) -> torch.Tensor:
    """The whole state of a parameter, from this process's partition of its group and the others'."""
    whole = torch.zeros(parameter.numel(), dtype=partition.dtype, device=partition.device)
    mapping: Any = parameter._hp_mapping  # type: ignore[attr-defined]  # None where this process has no part of it
    if mapping is not None:
        whole[_range(mapping.lp_fragment_address)] = partition[_range(mapping.hp_fragment_address)]
    torch.distributed.all_reduce(whole)
    return whole.view(parameter.shape).cpu()


def _take_own(parameter: torch.nn.Parameter, whole: torch.Tensor, partition: torch.Tensor) -> None:
    """Copy this process's part of a parameter's state into its partition."""
    mapping: Any = parameter._hp_mapping  # type: ignore[attr-defined]
    if mapping is not None:
        partition[_range(mapping.hp_fragment_address)] = whole.flatten()[_range(mapping.lp_fragment_address)].to(
            partition
        )


def _range(address: Any) -> slice:
    return slice(address.start, address.start + address.numel)
