"""Smoothing of maps: against scipy, and what it must keep."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from medvlp.models import gaussian_smooth


@pytest.mark.parametrize(("shape", "sigma"), [((15, 15), 1.5), ((7, 15), 0.6), ((4, 3), 2.0), ((1, 5), 1.0)])
def test_it_is_the_filter_of_scipy(shape, sigma):
    maps = torch.randn(2, *shape, dtype=torch.float64)
    expected = torch.stack([torch.from_numpy(gaussian_filter(one.numpy(), sigma)) for one in maps])
    torch.testing.assert_close(gaussian_smooth(maps, sigma), expected)


def test_the_mean_is_kept_and_a_constant_stays():
    maps = torch.zeros(15, 15)
    maps[7, 4] = 1
    assert gaussian_smooth(maps, 1.5).mean().item() == pytest.approx(1 / 225, rel=1e-5)
    assert gaussian_smooth(maps, 1.5).max() < 0.08
    torch.testing.assert_close(gaussian_smooth(torch.full((6, 8), 0.3), 2.0), torch.full((6, 8), 0.3))


def test_the_largest_place_of_a_planted_blob_stays_and_a_lone_patch_gives_way():
    maps = torch.zeros(15, 15)
    maps[3:6, 9:12] = 0.8
    maps[12, 2] = 1.0
    assert divmod(int(gaussian_smooth(maps, 1.5).argmax()), 15) == (4, 10)
    assert divmod(int(gaussian_smooth(maps, 0).argmax()), 15) == (12, 2)
