"""NVIDIA's management library, which tells clocks, driver and energy of a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efficient_sed.errors import MissingDependencyError

if TYPE_CHECKING:
    import torch


def open_nvml(device: torch.device) -> tuple[Any, Any]:
    """The library, and its handle of a GPU.

    Raises:
        MissingDependencyError: If the package nvidia-ml-py is not installed.
        Exception: Whatever the library raises, such as for a driver of another version.
    """
    import torch

    try:
        import pynvml  # type: ignore[import-not-found, unused-ignore]
    except ModuleNotFoundError as error:
        raise MissingDependencyError("NVML", "nvidia-ml-py", "energy") from error
    pynvml.nvmlInit()
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
