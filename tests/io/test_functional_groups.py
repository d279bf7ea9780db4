"""Enhanced multi-frame objects: each frame has its own rescale, window, spacing and place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medvlp.io import read_image, read_volume

WriteDicom = Callable[..., Path]


def group(**macros: dict[str, Any]) -> Dataset:
    """A functional group item: macro sequence -> the elements of its one item."""
    item = Dataset()
    for keyword, elements in macros.items():
        macro = Dataset()
        for name, value in elements.items():
            setattr(macro, name, value)
        setattr(item, keyword, Sequence([macro]))
    return item


def test_rescale_and_window_come_from_the_frame(write_dicom: WriteDicom) -> None:
    frames = np.array([[[0, 100, 200]], [[0, 100, 200]]], np.uint16)
    path = write_dicom(
        frames,
        RescaleSlope=99,  # what the object says itself is not for frames with their own
        WindowCenter=1,
        WindowWidth=2,
        SharedFunctionalGroupsSequence=[
            group(FrameVOILUTSequence={"WindowCenter": 0, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"})
        ],
        PerFrameFunctionalGroupsSequence=[
            group(PixelValueTransformationSequence={"RescaleSlope": 1, "RescaleIntercept": -100}),
            group(PixelValueTransformationSequence={"RescaleSlope": 2, "RescaleIntercept": -200}),
        ],
    )
    np.testing.assert_allclose(read_image(path, frame=0).array, [[0.25, 0.5, 0.75]], atol=1e-6)
    np.testing.assert_allclose(read_image(path, frame=1).array, [[0, 0.5, 1]], atol=1e-6)


def test_a_frame_s_window_goes_before_a_lut_of_the_object(
    write_dicom: WriteDicom, lut_item: Callable[..., Any]
) -> None:
    path = write_dicom(
        np.array([[[0, 50, 100]]], np.uint8),
        VOILUTSequence=[lut_item(np.zeros(4), 0, 12)],
        PerFrameFunctionalGroupsSequence=[
            group(FrameVOILUTSequence={"WindowCenter": 50, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"})
        ],
    )
    np.testing.assert_allclose(read_image(path).array, [[0, 0.5, 1]], atol=1e-6)


def test_frames_in_any_order_make_a_volume_in_hounsfield_units(write_dicom: WriteDicom) -> None:
    heights = [20.0, 0.0, 10.0]
    frames = np.stack([np.full((4, 6), 1000 + int(height)) for height in heights]).astype(np.uint16)
    path = write_dicom(
        frames,
        Modality="CT",
        SharedFunctionalGroupsSequence=[
            group(
                PixelMeasuresSequence={"PixelSpacing": [0.5, 0.75], "SliceThickness": 10},
                PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
            )
        ],
        PerFrameFunctionalGroupsSequence=[
            group(
                PlanePositionSequence={"ImagePositionPatient": [0, 0, height]},
                PixelValueTransformationSequence={"RescaleSlope": 1 + index, "RescaleIntercept": -1000 * (1 + index)},
            )
            for index, height in enumerate(heights)
        ],
    )
    volume = read_volume(path)
    assert volume.array[:, 0, 0].tolist() == [0.0, 30.0, 20.0]  # heights 0, 10, 20 with the slopes 2, 3, 1
    assert (volume.spacing, volume.orientation, volume.modality) == ((10.0, 0.5, 0.75), "SAR", "CT")
    assert "rescaled slice by slice, each with its own slope and intercept" in volume.steps
