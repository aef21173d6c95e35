"""Activations, by hand."""

from __future__ import annotations

import torch
from torch import nn

import efficient_sed as es
from efficient_sed.benchmark.activations import Activations
from efficient_sed.benchmark.macs import _count


def test_by_hand() -> None:
    convolution = nn.Conv2d(1, 8, 3, stride=2, padding=1)
    model = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(2), nn.Linear(20, 5))
    x = torch.zeros(1, 1, 8, 10)
    counted = _count(model, lambda: model(x)).activations
    assert counted == Activations(8 * 4 * 5 + 8 * 5, max(8 * 10 + 8 * 4 * 5, 8 * 4 * 5 + 8 * 5))


def test_of_a_recurrent_layer_states_are_not_counted() -> None:
    layer = nn.GRU(6, 4, batch_first=True, bidirectional=True)
    assert _count(layer, lambda: layer(torch.zeros(1, 7, 6))).activations == Activations(7 * 8, 7 * 6 + 7 * 8)


def test_of_a_model_they_grow_with_the_clip() -> None:
    model = es.create_model("fmn04+gru-64", num_classes=3)
    short, long = (es.count_macs(model, seconds).activations for seconds in (5.0, 10.0))
    assert 1.9 < long.total / short.total < 2.1
    first = 16 * 64 * 500  # the first expansion has the most: fmn04 begins with 8 channels at half the size
    assert 0 < first <= 2 * long.peak < 2 * long.total
