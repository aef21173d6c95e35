"""Fake GPUs: tensors that claim to lie on one are computed by the CPU; forward only: gradients need a real device.

MPS refuses float64, and operations for which PyTorch's own table of kernels names none that runs there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchgen
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

RUNS = {"MPS", "CompositeExplicitAutograd", "CompositeImplicitAutograd", "CompositeExplicitAutogradNonFunctional"}


class GpuTensor(torch.Tensor):
    """Wraps a tensor of the CPU and names another device."""

    kind = "mps"
    on_cpu: torch.Tensor

    @staticmethod
    def __new__(cls, on_cpu: torch.Tensor, *_: Any) -> GpuTensor:
        if cls.kind == "mps" and on_cpu.dtype in (torch.float64, torch.complex128):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        layout = on_cpu.shape, on_cpu.stride(), on_cpu.storage_offset()
        options = {"dtype": on_cpu.dtype, "device": torch.device(cls.kind, 0), "requires_grad": on_cpu.requires_grad}
        made = torch.Tensor._make_wrapper_subclass(cls, *layout, **options)
        made.on_cpu = on_cpu
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["on_cpu"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], *_: Any) -> GpuTensor:
        return GpuTensor(inner["on_cpu"])

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.__name__ in ("__getitem__", "__setitem__", "__float__", "__int__", "__bool__", "tolist", "stft"):
            # these ask for the device itself, which is not there, or (stft) turn a tensor round in place
            result = function(*tree_map(_on_cpu, args), **tree_map(_on_cpu, kwargs or {}))
            return GpuTensor(result) if isinstance(result, torch.Tensor) else result
        if function.__name__ == "to":
            args, kwargs = tree_map(_numbered, args), tree_map(_numbered, kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Sees what makes tensors on the device, where there is none among the arguments."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        device = (kwargs or {}).get("device")
        if device is not None and torch.device(device).type == GpuTensor.kind:
            return _run(operation, args, kwargs or {})
        return operation(*args, **(kwargs or {}))


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if GpuTensor.kind == "mps" and not _runs_on_mps(operation):
        raise NotImplementedError(f"The operator '{operation}' is not currently implemented for the MPS device")
    device = kwargs.get("device")
    placed = {} if device is None else {"device": torch.device("cpu")}
    result = operation(*tree_map(_on_cpu, args), **(tree_map(_on_cpu, kwargs) | placed))
    if device is not None and torch.device(device).type != GpuTensor.kind:
        return result
    given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, GpuTensor)]
    same = {id(value.on_cpu): value for value in given}  # what was changed in place is itself again
    return tree_map(
        lambda value: same.get(id(value), GpuTensor(value)) if isinstance(value, torch.Tensor) else value, result
    )


def _numbered(value: Any) -> Any:
    return torch.device(value.type, 0) if isinstance(value, torch.device) and value.type == GpuTensor.kind else value


def _on_cpu(value: Any) -> Any:
    return value.on_cpu if isinstance(value, GpuTensor) else value


@cache
def _kernels() -> dict[str, dict[str, Any]]:
    table = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    return {
        entry["func"].split("(")[0]: entry for entry in yaml.load(table.read_text(encoding="utf-8"), yaml.CSafeLoader)
    }


@cache
def _runs_on_mps(operation: Any) -> bool:
    entry = _kernels().get(operation.name().removeprefix("aten::"), {"dispatch": {}})
    entry = _kernels()[entry["structured_delegate"]] if "structured_delegate" in entry else entry
    keys = {key for keys in entry.get("dispatch", {"CompositeImplicitAutograd": ""}) for key in keys.split(", ")}
    return bool(keys & RUNS)


@contextmanager
def fake_gpu(kind: str) -> Iterator[torch.device]:
    """Let torch and Lightning find a device, "mps" or "cuda", that waits and counts as it does."""
    memory = 3 * 2**20
    properties = SimpleNamespace(uuid="0-1")
    readings = {
        "mps": {
            "synchronize": None,
            "empty_cache": None,
            "current_allocated_memory": 0,
            "driver_allocated_memory": memory,
        },
        "cuda": {
            "synchronize": None,
            "memory_allocated": 0,
            "reset_peak_memory_stats": None,
            "max_memory_allocated": memory,
        }
        | {"_lazy_init": None, "get_device_name": "a GPU", "get_device_properties": properties},
    }
    with pytest.MonkeyPatch.context() as patch, _Factories():
        patch.setattr(GpuTensor, "kind", kind)
        patch.setattr(torch.cuda if kind == "cuda" else torch.backends.mps, "is_available", lambda: True)
        patch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None, raising=False)
        for name, value in readings[kind].items():
            patch.setattr(getattr(torch, kind), name, lambda *_, value=value: value)
        yield torch.device(kind, 0)
