"""A make-believe Apple GPU: tensors that say they lie on it are computed by the CPU, but what MPS does not have is refused.

Float64 is refused as MPS refuses it, and so is every operation for which PyTorch's own table of kernels names none that runs on MPS.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgen
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

MPS = torch.device("mps", 0)
ANYWHERE = ("CompositeExplicitAutograd", "CompositeImplicitAutograd", "CompositeExplicitAutogradNonFunctional", "MPS")


class MpsTensor(torch.Tensor):
    """Wraps a tensor of the CPU and calls itself one of MPS."""

    on_cpu: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor, *_: Any) -> MpsTensor:
        if inner.dtype in (torch.float64, torch.complex128):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=MPS, requires_grad=inner.requires_grad)
        made.on_cpu = inner
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["on_cpu"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], *_: Any) -> MpsTensor:
        return MpsTensor(inner["on_cpu"])

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.Tensor.__getitem__:  # an index asks for the device itself, which this PyTorch lacks
            return MpsTensor(args[0].on_cpu[tree_map(_unwrap, args[1])])
        if function is torch.Tensor.__setitem__:
            return args[0].on_cpu.__setitem__(*tree_map(_unwrap, args[1:]))
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Sees what makes tensors on the device, where there is none among the arguments."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        device = (kwargs or {}).get("device")
        if device is not None and torch.device(device).type == "mps":
            return _run(operation, args, kwargs or {})
        return operation(*args, **(kwargs or {}))


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    given = kwargs.get("device")
    values, _ = tree_flatten((args, kwargs))
    target = torch.device(given).type if given is not None else "mps"
    if not _has_kernel(operation):
        raise NotImplementedError(f"The operator '{operation}' is not currently implemented for the MPS device")
    inside = tree_map(_unwrap, kwargs) | ({} if given is None else {"device": torch.device("cpu")})
    result = operation(*tree_map(_unwrap, args), **inside)
    if target != "mps":
        return result
    own = {id(value.on_cpu): value for value in values if isinstance(value, MpsTensor)}  # what was changed in place is itself again
    return tree_map(lambda value: own.get(id(value), MpsTensor(value)) if isinstance(value, torch.Tensor) else value, result)


def _unwrap(value: Any) -> Any:
    return value.on_cpu if isinstance(value, MpsTensor) else value


@cache
def _kernels() -> dict[str, dict[str, Any]]:
    table = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    return {entry["func"].split("(")[0]: entry for entry in yaml.load(table.read_text(encoding="utf-8"), yaml.CSafeLoader)}


@cache
def _has_kernel(operation: Any) -> bool:
    name = operation.name().removeprefix("aten::")
    entry = _kernels().get(name)
    if entry is None:
        return False
    if (other := entry.get("structured_delegate")) is not None:
        entry = _kernels()[other]
    keys = ", ".join(entry.get("dispatch", {"CompositeImplicitAutograd": ""})).split(", ")
    return any(key in ANYWHERE for key in keys)


@contextmanager
def fake_mps() -> Iterator[torch.device]:
    """Let torch and Lightning find the device, and synchronise and count as it does."""
    with pytest.MonkeyPatch.context() as patch, _Factories():
        patch.setattr(torch.backends.mps, "is_available", lambda: True)
        for name, value in (("synchronize", None), ("empty_cache", None), ("driver_allocated_memory", 3 * 2**20)):
            patch.setattr(torch.mps, name, lambda value=value: value)
        yield MPS
