"""Tests of the share of training spent waiting for data."""

from __future__ import annotations

from unittest.mock import Mock, patch

import pytest

from efficient_sed.training.idle import IdleShare


def test_idle_share() -> None:
    idle, it = IdleShare(), Mock()
    with patch("efficient_sed.training.idle.time.perf_counter", side_effect=[0, 1, 2, 5, 9, 10]):
        idle.on_train_epoch_start(it, it)
        for index in range(2):
            idle.on_train_batch_start(it, it, None, index)
            idle.on_train_batch_end(it, it, None, None, index)
        idle.on_validation_start(it, it)
        idle.on_train_batch_start(it, it, None, 2)
        idle.on_train_batch_end(it, it, None, None, 2)
    assert idle.idle_share == pytest.approx(1 / 4)
