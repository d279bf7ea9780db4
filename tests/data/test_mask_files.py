"""Every form of a mask's cell, and what is wrong with a bad one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from medvlp.data.mask_files import read_mask
from medvlp.io import Image, ReadError

IMAGE = Image(np.zeros((6, 5), np.float32))
LEFT = np.zeros((6, 5), bool)
LEFT[1:4, :2] = True


@pytest.fixture
def files(tmp_path: Path) -> Path:
    PillowImage.fromarray(LEFT.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    labels = LEFT.astype(np.uint8)
    labels[5, 4] = 2
    PillowImage.fromarray(labels).save(tmp_path / "labels.png")
    PillowImage.fromarray(labels[:4]).save(tmp_path / "small.png")
    np.savez(tmp_path / "truth.npz", left=LEFT, small=LEFT[:3])
    return tmp_path


@pytest.mark.parametrize("cell", ["mask.png", "labels.png#1", "truth.npz#left", "rle:1 3 3 3", "rle:1 3;7 3"])
def test_forms(files: Path, cell: str) -> None:
    np.testing.assert_array_equal(read_mask(cell if cell.startswith("rle") else str(files / cell), IMAGE), LEFT)


def test_all_regions_and_an_absent_one(files: Path) -> None:
    assert read_mask(str(files / "labels.png"), IMAGE).sum() == LEFT.sum() + 1
    with pytest.raises(ReadError, match="no region 7; there are 1, 2"):
        read_mask(str(files / "labels.png#7"), IMAGE)
    PillowImage.fromarray(np.zeros((6, 5), np.uint8)).save(files / "nothing.png")
    assert not read_mask(str(files / "nothing.png#7"), IMAGE).any()


def test_a_mask_of_colors_is_read_by_color_alone(files: Path) -> None:
    colors = np.zeros((6, 5, 3), np.uint8)
    colors[LEFT] = (255, 0, 0)
    colors[5, 4] = (0, 0, 7)
    PillowImage.fromarray(colors).save(files / "colors.png")
    np.testing.assert_array_equal(read_mask(str(files / "colors.png##ff0000"), IMAGE), LEFT)
    with pytest.raises(ReadError, match="no region '2'; there are #000007, #ff0000"):
        read_mask(str(files / "colors.png#2"), IMAGE)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("absent.png", "."),
        ("small.png", "regions are .4, 5. and the image is .6, 5."),
        ("labels.png#heart", "no region 'heart'"),
        ("truth.npz#right", "no readable array 'right'"),
        ("truth.npz#small", "the mask is .3, 5. and its image .6, 5."),
        ("absent.npz#left", "no readable array"),
        ("rle:1 2 3", "pairs of numbers"),
        ("rle:29 4", "another image size"),
    ],
)
def test_what_is_wrong_is_said(files: Path, cell: str, reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        read_mask(cell if cell.startswith("rle") else str(files / cell), IMAGE)
