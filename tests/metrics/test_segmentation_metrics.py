import numpy as np
import pytest

from medvlp.metrics import (
    dice,
    dice_empty_is_one,
    dice_foreground,
    dice_per_image,
    dice_with_background,
    mask_areas,
)


@pytest.fixture
def images():
    """Four images of 10 pixels: a half hit, an unneeded prediction, rightly nothing, a miss."""
    mask = np.zeros((8, 1, 10), dtype=bool)
    mask[0, 0, 0:4] = mask[1, 0, 2:6] = True  # predicted 0..3, true 2..5: 2*2/8
    mask[2, 0, 0:5] = True
    mask[7, 0, 0:2] = True
    return mask[0::2], mask[1::2]


@pytest.fixture
def areas(images):
    return np.stack([mask_areas(p, t) for p, t in zip(*images, strict=True)])


def test_three_definitions_by_hand(areas):
    assert areas.tolist() == [[2, 4, 4, 10], [0, 5, 0, 10], [0, 0, 0, 10], [0, 0, 2, 10]]
    assert dice_foreground(areas) == pytest.approx((0.5 + 0) / 2)
    assert dice_empty_is_one(areas) == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    foreground, background = 2 * 2 / (9 + 6), 2 * (40 - 9 - 6 + 2) / (80 - 9 - 6)
    assert dice_with_background(areas) == pytest.approx((foreground + background) / 2)


def test_the_definitions_give_different_figures_for_one_set_of_masks(areas):
    assert dice_foreground(areas) < dice_empty_is_one(areas) < dice_with_background(areas)


def test_weights_are_copies_of_images(areas):
    weights = np.array([[2, 1], [0, 1], [3, 0], [1, 2]])
    for metric in (dice_foreground, dice_empty_is_one, dice_with_background):
        copies = [metric(np.repeat(areas, w, axis=0)) for w in weights.T]
        np.testing.assert_allclose(metric(areas, weights), copies)


def test_one_image():
    assert dice([[1, 1, 0]], [[0, 1, 1]]) == 0.5
    assert np.isnan(dice([[1, 1, 0]], [[0, 0, 0]]))
    with pytest.raises(ValueError, match="original size"):
        dice(np.ones((2, 2)), np.ones((3, 3)))


def test_dice_of_each_image() -> None:
    areas = [[1, 2, 2, 3], [0, 1, 0, 3], [-1, -1, -1, -1]]  # half met, nothing to be found, no mask drawn
    np.testing.assert_equal(dice_per_image(areas), [0.5, np.nan, np.nan])
