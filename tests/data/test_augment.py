"""Another look at the same radiograph: never mirrored, never far away."""

import pytest
import torch

from medvlp.data.augment import random_view


def test_left_stays_left_and_above_stays_above():
    torch.manual_seed(0)
    images = torch.zeros(64, 1, 32, 32)
    images[:, :, 4:12, 2:10] = 1.0
    mass = (random_view(images, tone=0.0) > 0.5).float()
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    total = mass.sum((1, 2, 3))
    seen = total > 4
    assert seen.sum() > 48
    assert ((mass[:, 0] * x).sum((1, 2)) / total)[seen].max() < 16
    assert ((mass[:, 0] * y).sum((1, 2)) / total)[seen].max() < 18


def test_with_nothing_to_draw_it_is_the_image():
    images = torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(
        random_view(images, area=(1.0, 1.0), degrees=0.0, tone=0.0), images, atol=1e-4, rtol=1e-4
    )


def test_every_image_is_seen_otherwise_and_the_same_seed_sees_the_same():
    images = torch.randn(1, 1, 16, 16).expand(4, -1, -1, -1)
    torch.manual_seed(3)
    first = random_view(images)
    torch.manual_seed(3)
    assert torch.equal(first, random_view(images))
    assert (first[1:] - first[:1]).abs().amax((1, 2, 3)).min() > 0.1


def test_volumes_are_refused():
    with pytest.raises(ValueError, match=r"\[B, 1, H, W\]"):
        random_view(torch.zeros(1, 1, 4, 4, 4))
