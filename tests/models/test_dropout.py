import pytest
import torch
from torch.nn import functional as F

from efficient_sed.models.dropout import Dropout, attend, dropout


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(1,), (3,), (64, 250, 33)])
def test_values_are_dropped_or_scaled(shape: tuple[int, ...], rate: float) -> None:
    x = torch.rand(shape) + 1
    y = dropout(x, rate, is_training=True)
    kept = y != 0
    torch.testing.assert_close(y[kept], x[kept] / (1 - rate), rtol=2e-4, atol=0)
    if x.numel() > 1000:
        assert abs(float(kept.float().mean()) - (1 - rate)) < 0.005
        torch.testing.assert_close(y.mean(), x.mean(), rtol=0.02, atol=0)


def test_masks_are_independent_of_place() -> None:
    kept = (dropout(torch.ones(400_000), 0.5, is_training=True) != 0).float() - 0.5
    for distance in (1, 2, 3, 4, 5, 8, 64):  # four masks share a number
        correlation = 4 * (kept[distance:] * kept[:-distance]).mean()
        assert abs(float(correlation)) < 0.01
    lanes = kept.view(-1, 4).mean(0)
    assert float(lanes.abs().max()) < 0.01


def test_masks_repeat_with_torchs_seed() -> None:
    x, masks = torch.ones(1001), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout(x, 0.3, is_training=True))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_gradients_go_where_values_went() -> None:
    x = torch.rand(50, 7, requires_grad=True)
    y = dropout(x, 0.4, is_training=True)
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach() / x.detach())


def test_nothing_is_dropped_outside_of_training() -> None:
    x = torch.rand(10)
    assert dropout(x, 0.4, is_training=False) is x
    assert dropout(x, 0.0, is_training=True) is x
    module = Dropout(0.4)
    assert module.eval()(x) is x
    assert (module.train()(torch.ones(1000)) == 0).any()


def test_attention_without_dropout_is_torchs_and_with_it_its_mean() -> None:
    q, k, v = torch.randn(3, 2, 4, 9, 8)
    expected = F.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(attend(q, k, v, 0.0), expected)
    mean = torch.stack([attend(q, k, v, 0.1) for _ in range(3000)]).mean(0)
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.1)
