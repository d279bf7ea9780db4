"""Axes, flips and shear: every voxel has to stay at its place in the patient."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from medvlp.io.geometry import axis_order, deskew, reorient, reorient_affine, restore_axes, shear_degrees, spacing_of

SHAPE = (3, 4, 5)
ORDERS = list(permutations(range(3)))


def affine_of(order: tuple[int, ...], signs: tuple[int, ...], tilt: float = 0.0) -> np.ndarray:
    """Axes along the world's axes in any order and direction, turned a little, 2 x 3 x 4 mm."""
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.eye(3)[:, order] * signs * [2, 3, 4]
    affine[:3, 3] = [10, -20, 30]
    return affine


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_turning_keeps_every_voxel_where_it_was(order: tuple[int, ...], signs: tuple[int, ...], tilt: float) -> None:
    array = np.arange(60, dtype=np.float32).reshape(SHAPE)
    affine = affine_of(order, signs, tilt)
    view, new = reorient(array, affine)
    for index in np.ndindex(view.shape):
        place = new @ [*index, 1]
        old = np.rint(np.linalg.inv(affine) @ place)[:3].astype(int)
        assert array[tuple(old)] == view[index]
    directions = new[:3, :3] / np.linalg.norm(new[:3, :3], axis=0)
    assert (directions[[2, 1, 0], [0, 1, 2]] > 0.9).all()  # to the head, to the front, to the right
    np.testing.assert_allclose(reorient_affine(affine, SHAPE), new)


@pytest.mark.parametrize("order", ORDERS)
def test_untie_writes_where_turned_reads(order: tuple[int, ...]) -> None:
    array = np.arange(60, dtype=np.float32).reshape(SHAPE)
    affine = affine_of(order, (1, -1, -1))
    view, _ = reorient(array, affine)
    out = np.zeros(view.shape, np.float32)
    restore_axes(out, affine)[:] = array
    np.testing.assert_array_equal(out, view)


def test_spacing_and_order_of_a_plain_axial_series() -> None:
    axial = np.diag([1.0, 1, 1, 1])
    axial[:3, :3] = np.array([[0, 0, 2.5], [0, -0.7, 0], [-0.7, 0, 0]]).T  # slices up, rows back, columns left
    assert spacing_of(axial) == pytest.approx((2.5, 0.7, 0.7))
    assert axis_order(axial) == ((0, 1, 2), (False, True, True))


def test_a_sheared_volume_is_straightened_onto_its_objects() -> None:
    """A ball drawn in the patient, sampled on a tilted grid, has to be the ball again."""
    tilt = np.radians(20)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 3 * np.tan(tilt), 3], [0, -1, 0], [-1, 0, 0]]).T
    affine[:3, 3] = [40, 30, -60]

    def ball(places: np.ndarray) -> np.ndarray:
        return np.clip(15 - np.linalg.norm(places - [0, 12, 0], axis=-1), 0, 5).astype(np.float32)

    def places_of(shape: tuple[int, ...], grid: np.ndarray) -> np.ndarray:
        indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
        return indices @ grid[:3, :3].T + grid[:3, 3]

    tilted = ball(places_of((40, 64, 80), affine))
    assert shear_degrees(affine) == pytest.approx(20, abs=1e-6)
    straight, grid, _ = deskew(tilted, affine, 0.0)
    assert shear_degrees(grid) == pytest.approx(0, abs=1e-6)
    assert straight.shape[1] > 64  # the grid grew to hold the shifted slices
    expected = ball(places_of(straight.shape, grid))
    assert np.abs(straight - expected).mean() < 0.01
    assert np.abs(straight - expected).max() < 1.0
