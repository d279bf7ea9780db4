"""The analytic path lengths against slow marches along each beam."""

from __future__ import annotations

import numpy as np
import pytest

from medvlp.phantom.anatomy import sample_anatomy
from medvlp.phantom.geometry import Ellipsoid, Interval, Projection, SectionStack, interpolate_table
from medvlp.phantom.materials import path_outside, texture
from medvlp.phantom.organs import dome, hemithorax
from medvlp.phantom.point_clouds import project_points, rods, spline, tube

FRONTAL = Projection("PA", (60, 60), pitch=2.0, top=-60.0)
LATERAL = Projection("LATERAL", (60, 60), pitch=2.0, top=-60.0)


def march(projection: Projection, row: int, column: int, contains, step: float = 0.05) -> float:
    """Length of one beam inside a solid, by testing points along it."""
    depth = np.arange(-80, 80, step)
    y, u = projection.y[row, 0], projection.u[row, column]
    fixed = np.full_like(depth, u)
    x, z = (fixed, depth) if projection.frontal else (depth, -fixed)
    return float(contains(np.stack([x, np.full_like(depth, y), z], axis=1)).sum() * step)


@pytest.mark.parametrize("projection", [FRONTAL, LATERAL], ids=["frontal", "lateral"])
def test_ellipsoid_chord(projection: Projection) -> None:
    solid = Ellipsoid((6.0, -4.0, 9.0), (30.0, 18.0, 24.0), tilt=0.6)
    chord = solid.chord(projection)
    for row, column in ((25, 30), (30, 22), (34, 38), (20, 28), (5, 5)):
        assert chord[row, column] == pytest.approx(march(projection, row, column, solid.contains), abs=0.2)
    volume = float(chord.sum()) * projection.pitch**2
    assert volume == pytest.approx(4 / 3 * np.pi * 30 * 18 * 24, rel=0.02)


def test_stack_of_circles_is_a_cylinder() -> None:
    sections = np.tile([5.0, 3.0, 20.0, 20.0], (61, 1))
    cylinder = SectionStack(-30.0, 1.0, sections, square=0.0)
    path = cylinder.interval(FRONTAL).length
    inside = FRONTAL.u[30] - 5.0
    expected = 2 * np.sqrt(np.maximum(400 - inside**2, 0))
    np.testing.assert_allclose(path[30], expected, atol=0.01)
    assert path[2].max() == 0  # above the first section


def test_withdrawn_stack_keeps_its_medial_wall() -> None:
    stack = SectionStack(0.0, 1.0, np.tile([50.0, 0.0, 30.0, 60.0], (10, 1)))
    smaller = stack.shrunk(np.full(10, 8.0), towards=-1.0)
    cx, _, ax, az = smaller.sections[0]
    assert (cx - ax, cx + ax, az) == (20.0, 72.0, 52.0)


def test_left_over_counts_overlaps_once() -> None:
    def span(low: float, high: float) -> Interval:
        return Interval(np.full((1, 1), low, np.float32), np.full((1, 1), high, np.float32))

    takers = (span(0, 4), span(3, 7), span(3.5, 3.8))
    assert path_outside(span(-1, 10), takers)[0, 0] == pytest.approx(11 - 7)


def test_lung_lies_beside_the_middle_and_above_the_dome() -> None:
    anatomy = sample_anatomy(np.random.default_rng(0))
    assert (
        hemithorax(anatomy, "left").sections_at([120.0])[0][0]
        > 0
        > hemithorax(anatomy, "right").sections_at([120.0])[0][0]
    )
    assert dome(anatomy, "right").top < dome(anatomy, "left").top  # the liver lifts the right one


def test_deposit_keeps_volume_in_every_view() -> None:
    curve = spline(np.array([(-20.0, -30.0, 0.0), (0.0, 0.0, 15.0), (12.0, 35.0, -10.0)]), 1.0)
    length = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
    for projection in (FRONTAL, LATERAL):
        path = project_points(projection, tube(projection, curve, 3.0))
        assert path.sum() * projection.pitch**2 == pytest.approx(np.pi * 9 * length, rel=0.02)


def test_tube_chord_is_a_circle_without_streaks() -> None:
    fine = Projection("PA", (200, 200), pitch=0.5, top=-50.0)
    path = project_points(fine, tube(fine, spline(np.array([(0.2, -60.0, 0), (0.2, 60.0, 0)]), fine.pitch), 10.0))
    across = fine.u[100] - 0.2
    expected = 2 * np.sqrt(np.maximum(100 - across**2, 0))
    inner = np.abs(across) < 9
    np.testing.assert_allclose(path[100, inner], expected[inner], rtol=0.06)


def test_rods_seen_end_on_are_discs() -> None:
    starts, ends = np.array([[0.0, 0.0, -20.0]]), np.array([[0.0, 0.0, 20.0]])
    fine = Projection("PA", (100, 100), pitch=0.4, top=-20.0)
    path = project_points(fine, rods(fine, starts, ends, np.array([5.0])))
    rows, columns = np.nonzero(path > 4)
    assert np.ptp(rows) * 0.4 == pytest.approx(10, abs=2.5)
    assert np.ptp(columns) * 0.4 == pytest.approx(10, abs=2.5)


def test_dense_passes_through_its_knots() -> None:
    table = interpolate_table(np.array([(0, 1.0), (10, 5.0), (20, 2.0)]), 1.0)
    assert table[[0, 10, 20], 0].tolist() == [1.0, 5.0, 2.0]


def test_texture_is_the_same_at_every_size() -> None:
    small = texture(Projection("PA", (64, 64), pitch=4.0), 3, 20.0)
    large = texture(Projection("PA", (256, 256), pitch=1.0), 3, 20.0)
    assert np.corrcoef(small.ravel(), large[::4, ::4].ravel())[0, 1] > 0.99
    assert large.std() == pytest.approx(1.0, abs=0.25)
