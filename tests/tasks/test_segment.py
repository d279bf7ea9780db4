"""Areas of masks by hand."""

import numpy as np
import pytest

from medvlp.io import Image
from medvlp.tasks.image_files import ReadFile
from medvlp.tasks.segment import SegmentedFile


def test_areas_by_hand() -> None:
    """30 of 200 pixels of 0.5 x 2 mm are 30 mm2, 0.3 cm2; without spacing nobody knows."""
    mask = np.zeros((10, 20), bool)
    mask[2:5, 4:14] = True
    pixels = np.zeros((10, 20), np.float32)
    known = SegmentedFile(ReadFile("a", "ok"), Image(pixels, spacing=(0.5, 2.0)), {"lungs": mask}).areas()
    assert known == pytest.approx({"lungs_share": 0.15, "lungs_cm2": 0.3})
    unknown = SegmentedFile(ReadFile("a", "ok"), Image(pixels), {"lungs": mask}).areas()
    assert unknown == pytest.approx({"lungs_share": 0.15, "lungs_cm2": np.nan}, nan_ok=True)
