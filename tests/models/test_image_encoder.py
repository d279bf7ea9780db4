"""Any timm network behind one contract."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.models.image_encoder import ImageEncoder


@pytest.mark.parametrize(
    ("name", "size", "grid", "channels", "strides"),
    [
        ("test_resnet", 64, (4, 4), [32, 32, 48, 192, 96], [2, 4, 8, 16, 32]),
        ("test_convnext", 64, (4, 4), [24, 32, 48, 64], [4, 8, 16, 32]),
        ("test_vit", 64, (4, 4), [64, 64, 64, 64], [16, 16, 16, 16]),
        ("swin_tiny_patch4_window7_224", 224, (14, 14), [96, 192, 384, 768], [4, 8, 16, 32]),
    ],
)
def test_convnets_and_transformers_give_the_same_things(name, size, grid, channels, strides):
    encoder = ImageEncoder(name, image_size=size, dim=24).eval()
    with torch.no_grad():
        features = encoder(torch.randn(2, 1, size, size))
    assert features.global_.shape == (2, 24)
    assert features.patches.shape == (2, grid[0] * grid[1], 24)
    assert features.grid == encoder.grid == grid
    assert [m.shape[1] for m in features.pyramid] == encoder.pyramid_channels == channels
    assert [size // m.shape[-1] for m in features.pyramid] == encoder.pyramid_strides == strides


@pytest.mark.parametrize(("wanted", "given", "grid"), [(8, 8, 8), (16, 16, 4), (32, 32, 2), (64, 32, 2)])
def test_patch_stride_chooses_the_grid(wanted, given, grid):
    encoder = ImageEncoder("test_resnet", image_size=64, dim=8, patch_stride=wanted)
    assert encoder.patch_stride == given
    assert encoder(torch.randn(1, 1, 64, 64)).grid == (grid, grid)


def test_patches_are_the_normalised_sum_of_the_maps_from_their_stride_upwards():
    encoder = ImageEncoder("test_resnet", image_size=64, dim=8, patch_stride=16).eval()
    features = encoder(torch.randn(1, 1, 64, 64))
    fine, coarse = features.pyramid[-2], features.pyramid[-1]
    for row in range(4):
        for column in range(4):
            cell = encoder.to_patches[0](fine[0, :, row, column])
            cell = cell + encoder.to_patches[1](coarse[0, :, row // 2, column // 2])
            expected = F.layer_norm(cell, (8,), encoder.patch_norm.weight, encoder.patch_norm.bias)
            torch.testing.assert_close(features.patches[0, row * 4 + column], expected, atol=1e-5, rtol=1e-4)


def test_the_global_vector_is_the_mean_patch_or_the_trunks_own_pooling():
    images = torch.randn(2, 1, 64, 64)
    features = ImageEncoder("test_resnet", image_size=64, dim=8).eval()(images)
    torch.testing.assert_close(features.global_, features.patches.mean(1))
    encoder = ImageEncoder("test_resnet", image_size=64, dim=8, pool="trunk").eval()
    features = encoder(images)
    torch.testing.assert_close(features.global_, encoder.to_global(features.pyramid[-1].mean((2, 3))))


def test_the_width_is_the_trunks_own_when_none_is_given():
    assert ImageEncoder("test_resnet", image_size=64).dim == 96


def test_odd_sizes_and_their_grid():
    encoder = ImageEncoder("test_resnet", image_size=100, dim=8)
    assert encoder(torch.randn(1, 1, 100, 100)).grid == encoder.grid == (7, 7)


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="resnet18"):
        ImageEncoder("resnet_18")


def test_colour_images_are_refused():
    with pytest.raises(ValueError, match=r"\[B, 1, H, W\]"):
        ImageEncoder("test_resnet", image_size=64)(torch.randn(2, 3, 64, 64))
