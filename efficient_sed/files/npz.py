"""Reading archives of numpy arrays (npz) from any source."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

MAX_UNPACKED_BYTES, MAX_RATIO = 2**30, 10


def check_unpacked(num_bytes: int, num_stored: int) -> None:
    """Refuse a file that would unpack to far more than its own size.

    Args:
        num_bytes: Size when unpacked.
        num_stored: Size of the file.

    Raises:
        ValueError: If it would take more than 1 GiB and more than ten times its size.
    """
    if num_bytes > max(MAX_UNPACKED_BYTES, MAX_RATIO * num_stored):
        raise ValueError(f"says that {num_bytes / 1e9:,.3g} GB are in {num_stored / 1e6:,.3g} MB")


def read_arrays(data: bytes, names: Sequence[str]) -> list[np.ndarray]:
    """Read arrays of an npz archive, without running code from it and without allocating more than it holds.

    Args:
        data: The archive.
        names: Names of the arrays.

    Returns:
        The arrays in the order of their names.

    Raises:
        ValueError: If the archive or an array is damaged, missing or holds objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_unpacked(sum(item.file_size for item in archive.infolist()), len(data))
            return [_read_array(archive.read(f"{name}.npy")) for name in names]
    except KeyError as error:
        raise ValueError(str(error.args[0])) from error
    except (
        OSError, EOFError, OverflowError, RuntimeError, SyntaxError, TypeError, zipfile.BadZipFile, zlib.error,
        struct.error,
    ) as error:  # fmt: skip
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def _read_array(content: bytes) -> np.ndarray:
    """Read one array; `numpy.lib.format.read_array` would allocate whatever the header says."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)  # type: ignore[no-untyped-call]
    flat = np.frombuffer(bytearray(content), dtype, math.prod(shape), file.tell())
    return flat.reshape(shape, order="F" if is_fortran else "C")
