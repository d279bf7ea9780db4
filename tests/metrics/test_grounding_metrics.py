import numpy as np
import pytest

from medvlp.metrics import box_mask, cnr, miou, pointing_game


@pytest.fixture
def region():
    return box_mask([2, 1, 4, 3], (6, 8))


def test_boxes_are_a_union_and_are_cut_at_the_border():
    mask = box_mask([[-3, 0, 1.2, 2], [6, 4, 20, 20]], (6, 8))
    assert mask[:2, :2].all()
    assert mask[4:, 6:].all()
    assert mask.sum() == 4 + 4
    assert not box_mask(np.empty((0, 4)), (2, 2)).any()
    assert not box_mask([-5, -5, -1, -1], (4, 4)).any()


def test_pointing_game(region):
    heat = np.zeros((6, 8))
    heat[2, 3] = 1
    assert pointing_game(heat, region) == 1
    heat[5, 7] = 2
    assert pointing_game(heat, region) == 0
    heat[5, 7] = np.nan
    assert pointing_game(heat, region) == 1


def test_a_constant_map_points_with_the_share_of_the_region(region):
    assert pointing_game(np.ones((6, 8)), region) == pytest.approx(4 / 48)
    assert np.isnan(pointing_game(np.ones((6, 8)), np.zeros((6, 8))))


def test_cnr_by_hand_and_its_two_forms():
    heat = np.array([[1.0, 3.0, 0.0, 0.0, 2.0]])
    inside = np.array([[1, 1, 0, 0, 0]], dtype=bool)
    expected = (2 - 2 / 3) / np.sqrt(1 + 8 / 9)
    assert cnr(heat, inside) == pytest.approx(expected)
    assert cnr(-heat, inside) == pytest.approx(-expected)
    assert cnr(-heat, inside, signed=False) == pytest.approx(expected)
    assert cnr(np.ones((1, 5)), inside) == 0
    assert np.isnan(cnr(heat, np.zeros((1, 5))))


def test_cnr_and_miou_do_not_depend_on_the_scale_of_the_map(region):
    heat = np.random.default_rng(0).normal(size=(6, 8))
    assert cnr(3 * heat + 5, region) == pytest.approx(cnr(heat, region))
    assert miou(3 * heat + 5, region) == pytest.approx(miou(heat, region))


def test_miou(region):
    assert miou(region.astype(float), region) == 1
    half = region.astype(float)
    half[2:, :] *= 0.5  # stretched to 0: above no threshold
    assert miou(half, region) == 0.5
    half[1, 2] = 0.64  # stretched to 0.28: above 0.1 and 0.2
    assert miou(half, region) == pytest.approx((0.5 * 2 + 0.25 * 3) / 5)
    assert miou(np.ones((6, 8)), region) == 0
    assert np.isnan(miou(half, np.zeros((6, 8))))


def test_what_the_model_did_not_see_is_not_predicted(region):
    heat = region.astype(float)
    heat[2:] = np.nan
    assert miou(heat, region) == 0.5
    assert cnr(heat, region) == np.inf
