"""`read_image` on pictures and on pydicom's own files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom.data import get_testdata_file

from medvlp.io import ReadError, read_image


def test_grey_png_is_divided_by_255(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Picture.fromarray(values).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    np.testing.assert_allclose(image.array, values / 255, atol=1e-6)
    assert (image.source, image.array.dtype) == ("png", np.float32)


def test_ct_slice_without_window_spans_its_range() -> None:
    image = read_image(get_testdata_file("CT_small.dcm"))
    assert image.modality == "CT"
    assert (float(image.array.min()), float(image.array.max())) == (0.0, 1.0)


def test_missing_and_truncated_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        read_image(tmp_path / "nothing.dcm")
    whole = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError, match="Pixel Data"):
        read_image(tmp_path / "cut.dcm")
