"""Any timm network behind one contract."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from medvlp.models import ImageEncoder, PatchesDroppedError, grid_position


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


def test_patches_are_the_normalized_sum_of_the_maps_from_their_stride_upwards():
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


def test_a_misspelled_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="resnet18"):
        ImageEncoder("resnet_18")


def test_color_images_are_refused():
    with pytest.raises(ValueError, match=r"\[B, 1, H, W\]"):
        ImageEncoder("test_resnet", image_size=64)(torch.randn(2, 3, 64, 64))


def test_in_training_a_transformer_sees_a_part_of_its_patches():
    encoder = ImageEncoder("test_vit", image_size=64, dim=24, patch_dropping=0.5)
    images = torch.randn(3, 1, 64, 64)
    features = encoder.train()(images)
    assert features.patches.shape == (3, 8, 24)
    torch.testing.assert_close(features.global_, features.patches.mean(1))
    whole = encoder.eval()(images)
    assert (whole.patches.shape, whole.grid) == ((3, 16, 24), (4, 4))
    plain = ImageEncoder("test_vit", image_size=64, dim=24).eval()
    plain.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(plain(images).patches, whole.patches)


def test_the_patches_that_are_left_are_drawn_anew_and_know_their_place():
    """Where patches do not see each other, a kept patch is what it is in the whole image, position code included."""
    encoder = ImageEncoder("test_vit", image_size=64, dim=24, patch_dropping=0.5)
    for block in encoder.trunk.blocks:
        torch.nn.init.zeros_(block.attn.proj.weight)
        torch.nn.init.zeros_(block.attn.proj.bias)
    images = torch.randn(2, 1, 64, 64)
    whole = encoder.eval()(images).patches
    drawn = []
    for _ in range(2):
        kept = encoder.train()(images).patches
        distance = (kept[:, :, None] - whole[:, None]).abs().amax(-1)
        assert distance.amin(2).max() < 1e-4
        drawn.append(distance.argmin(2).sort(1).values)
        assert all(len(set(row.tolist())) == 8 for row in drawn[-1])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0][0], drawn[0][1])


def test_the_trunks_own_pooling_does_without_some_patches():
    encoder = ImageEncoder("test_vit", image_size=64, dim=24, pool="trunk", patch_dropping=0.75)
    assert encoder.train()(torch.randn(2, 1, 64, 64)).global_.shape == (2, 24)


def test_patches_without_places_answer_no_question_about_them():
    features = ImageEncoder("test_vit", image_size=64, dim=24, patch_dropping=0.5)(torch.randn(2, 1, 64, 64))
    heat = features.patches.mean(-1)
    asked = (
        lambda: len(features.grid),
        lambda: list(features.grid),
        lambda: features.grid[0],
        lambda: heat.unflatten(1, features.grid),
        lambda: grid_position(features.grid, 24, heat),
        lambda: features.pyramid[-1],
        lambda: len(features.pyramid),
    )
    for ask in asked:
        with pytest.raises(PatchesDroppedError, match=r"image_encoder\.patch_dropping to 0"):
            ask()
    assert replace(features, global_=heat).patches is features.patches


def test_a_convnet_cannot_drop_patches():
    with pytest.raises(ValueError, match=r"patch_dropping: test_resnet needs all .* vit_small_patch16_224"):
        ImageEncoder("test_resnet", image_size=64, patch_dropping=0.5)


def test_the_trunk_alone_sees_all_patches():
    encoder = ImageEncoder("test_vit", image_size=64, dim=24, patch_dropping=0.5).train()
    encoder(torch.randn(1, 1, 64, 64))
    maps = encoder.trunk.forward_intermediates(torch.randn(1, 1, 64, 64), intermediates_only=True)
    assert maps[-1].shape[-2:] == (4, 4)
