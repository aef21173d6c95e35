"""Each form gives what the operation gives; ExecuTorch is not needed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from efficient_sed.export.xnnpack.forms import FORMS

aten = torch.ops.aten
X = torch.randn(2, 6, 4, 8, generator=torch.Generator().manual_seed(0))
CASES: list[tuple[Any, tuple[Any, ...]]] = [
    *((aten.mean.dim, (X, dims, keep)) for dims in ([1], [-1], [2, 3], [3, 2], [0, 2]) for keep in (False, True)),
    *((aten.sum.dim_IntList, (X, dims, keep)) for dims in ([1], [-1, 0]) for keep in (False, True)),
    *((aten.linalg_vector_norm.default, (X, 2, [-1], keep)) for keep in (False, True)),
    (aten.layer_norm.default, (X, [8], torch.rand(8), torch.rand(8), 1e-5)),
    (aten.layer_norm.default, (X, [4, 8])),
    *((aten.pow.Tensor_Scalar, (X.abs() + 0.1, exponent)) for exponent in (2, 2.0, 0.5, -0.5)),
    (aten.scaled_dot_product_attention.default, (X, X.flip(2), X.flip(1))),
    (aten.matmul.default, (X, X.transpose(2, 3))),
    *((aten.slice.Tensor, (X, dim, start, None, 2)) for dim in (1, -1) for start in (0, 1)),
    (aten.narrow.default, (X, 1, 2, 3)),
    *((aten.select.int, (X, dim, index)) for dim, index in ((1, 0), (-1, -2))),
    (aten.split_with_sizes.default, (X, [1, 3, 2], 1)),
    (aten.split.Tensor, (X, 4, 1)),
    (aten.chunk.default, (X, 3, -1)),
    *((aten.stack.default, ([X, X + 1], dim)) for dim in (0, -1)),
    *((aten.unsqueeze.default, (X, dim)) for dim in (0, 2, -1)),
    (aten.squeeze.default, (X[:1, :, :1],)),
    (aten.squeeze.dim, (X[:, :1], 1)),
    (aten.squeeze.dim, (X, 1)),
    (aten.squeeze.dims, (X[:1, :, :1], [0, 1])),
    *((aten.flatten.using_ints, (X, first, last)) for first, last in ((0, -1), (1, 2), (2, 2))),
    (aten.flip.default, (X, [1, 3])),
    *((aten.cumsum.default, (X, dim)) for dim in (1, -1)),
    (aten.masked_fill.Scalar, (X, X > 0, -math.inf)),
    (aten.softplus.default, (40 * X,)),
    (aten.silu.default, (X,)),
    (aten.clamp_min.default, (X, 0.1)),
    (aten.zeros_like.default, (X,)),
]


@pytest.mark.parametrize(("operation", "arguments"), CASES)
def test_a_form_gives_what_the_operation_gives(operation: Any, arguments: tuple[Any, ...]) -> None:
    expected, found = operation(*arguments), FORMS[operation](*arguments)
    if found is NotImplemented:
        pytest.fail("no form")
    torch.testing.assert_close(list(found) if isinstance(found, tuple) else found, expected, rtol=1e-5, atol=2e-5)


def test_every_form_is_tried() -> None:
    assert {operation for operation, _ in CASES} == set(FORMS)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        (aten.mean.dim, (X, [-1, -2], True)),
        (aten.pow.Tensor_Scalar, (X, 3)),
        (aten.slice.Tensor, (X, 1, 1, 4)),
        (aten.masked_fill.Scalar, (X, X > 0, 0.0)),
        (aten.matmul.default, (X, X[0, 0].T)),
        (aten.linalg_vector_norm.default, (X, 1, [1])),
    ],
)
def test_what_has_no_other_form_stays(operation: Any, arguments: tuple[Any, ...]) -> None:
    assert FORMS[operation](*arguments) is NotImplemented
