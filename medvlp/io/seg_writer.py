"""`write_dicom_seg`: regions as a DICOM SEG beside the images they were found on (PS3.3 A.51, C.8.20)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvlp.io.dicom_volume import plan_grid
from medvlp.io.geometry import turned_affine, untie
from medvlp.io.segmentation import Segmentation
from medvlp.io.series import find_volumes

Code = tuple[str, str, str]
_ABNORMAL: Code = ("49755003", "SCT", "Morphologically abnormal structure")
_ARTIFICIAL_INTELLIGENCE: Code = ("123110", "DCM", "Artificial Intelligence")


def write_dicom_seg(
    found: Segmentation,
    path: str | Path,
    source_files: Sequence[str | Path],
    *,
    algorithm: str = "medvlp",
    version: str | None = None,
    codes: Mapping[str, Code] | None = None,
) -> None:
    """Write regions as one binary DICOM SEG, a segment for each, on the grid of the source images.

    The object names the patient as its sources do, since an archive files it by that. It is meant for the archive that
    the sources came from, and for nowhere else.

    Args:
        found: regions on the grid that `read_volume(source_files)` or `read_image(source_file)` returns.
        path: file to write.
        source_files: the radiograph, or the files of the series.
        algorithm, version: what made the regions; the version of medvlp where None.
        codes: region name -> (value, scheme, meaning); "morphologically abnormal structure" where missing.

    Raises:
        ValueError: the regions are not on the grid of the sources, or there are none.
        ReadError: a source file is damaged.
    """
    import highdicom
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    from medvlp import __version__

    if not found.names:
        raise ValueError("no regions to write: an empty DICOM SEG is not allowed (PS3.3 C.8.20.2)")
    paths = [Path(name) for name in source_files]
    sources, pixels = _on_sources(found, paths)
    made_by = highdicom.AlgorithmIdentificationSequence(
        name=algorithm, version=version or __version__, family=highdicom.sr.CodedConcept(*_ARTIFICIAL_INTELLIGENCE)
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name[:64],
            segmented_property_category=highdicom.sr.CodedConcept(*_ABNORMAL),
            segmented_property_type=highdicom.sr.CodedConcept(*(codes or {}).get(name, _ABNORMAL)),
            algorithm_type="AUTOMATIC",
            algorithm_identification=made_by,
        )
        for number, name in enumerate(found.names.values(), 1)
    ]
    highdicom.seg.Segmentation(
        source_images=[dcmread(name) for name in sources],
        pixel_array=pixels,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="medvlp",
        manufacturer_model_name=algorithm,
        software_versions=version or __version__,
        device_serial_number="0",
    ).save_as(path)


def _on_sources(found: Segmentation, paths: list[Path]) -> tuple[list[Path], NDArray[np.uint8]]:
    """The source files in the order of their slices, and `[files, rows, columns, regions]` masks in their own axes."""
    masks = np.stack([found.mask(value) for value in found.names], axis=0)
    if len(found.shape) == 2:
        if len(paths) != 1:
            raise ValueError(f"regions of one radiograph and {len(paths)} source files")
        return paths, np.moveaxis(masks, 0, -1)[None].astype(np.uint8)
    for slices in find_volumes(paths)[0]:
        shape = (len(slices), slices[0].layout.rows, slices[0].layout.columns)
        grid = plan_grid(slices)
        regular = len(grid.heights) == len(slices) and len({one.path for one in slices}) == len(slices)
        if (
            regular
            and found.affine is not None
            and np.allclose(turned_affine(grid.affine, shape), found.affine, atol=1e-2)
        ):
            acquired = [untie(mask, grid.affine) for mask in masks]
            if acquired[0].shape == shape:
                return [one.path for one in slices], np.stack(acquired, axis=-1).astype(np.uint8)
    raise ValueError(
        "the regions do not lie on the grid of the source files: read the image with read_volume, and the regions with "
        "read_segmentation(..., like=image)"
    )
