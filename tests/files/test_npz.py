"""Archives of arrays that anybody may have written."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from efficient_sed.files.npz import check_unpacked, read_arrays


def archive(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def test_arrays_are_those_of_numpy() -> None:
    first, second = np.arange(6).reshape(2, 3), np.asfortranarray(np.eye(3)[:2])
    found = read_arrays(archive(a=first, b=second, c=np.array("x")), ["b", "a"])
    np.testing.assert_array_equal(found[0], second)
    np.testing.assert_array_equal(found[1], first)


def test_what_is_refused() -> None:
    whole = archive(a=np.arange(1000))
    for data, reason in [
        (b"no archive", "not a zip file"),
        (whole[:-30], "not a zip file"),
        (archive(a=np.array([{}], object)), "OBJECT array"),
        (archive(b=np.zeros(1)), "a.npy"),
    ]:
        with pytest.raises(ValueError, match=reason):
            read_arrays(data, ["a"])


def test_an_array_larger_than_its_content_takes_no_memory() -> None:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as writer:
        writer.writestr("a.npy", content.getvalue())
    with pytest.raises(ValueError, match="buffer is smaller than requested size"):
        read_arrays(file.getvalue(), ["a"])


def test_bombs() -> None:
    check_unpacked(2**30, 1)
    check_unpacked(10 * 2**30, 2**30)
    with pytest.raises(ValueError, match=r"^says that 1\.07 GB are in 0\.001 MB$"):
        check_unpacked(2**30 + 1, 1000)
