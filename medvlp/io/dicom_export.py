"""Results as DICOM objects beside their source images: regions as SEG, findings as structured report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvlp.io.dicom_volume import plan_grid
from medvlp.io.geometry import reorient_affine, restore_axes, same_grid
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
    for slices in find_volumes(paths).volumes:
        shape = (len(slices), slices[0].layout.rows, slices[0].layout.columns)
        grid = plan_grid(slices)
        regular = len(grid.heights) == len(slices) and len({one.path for one in slices}) == len(slices)
        if (
            regular
            and found.affine is not None
            and same_grid(reorient_affine(grid.affine, shape), found.affine, found.shape)
        ):
            acquired = [restore_axes(mask, grid.affine) for mask in masks]
            if acquired[0].shape == shape:
                return [one.path for one in slices], np.stack(acquired, axis=-1).astype(np.uint8)
    raise ValueError(
        "the regions do not lie on the grid of the source files: read the image with read_volume, and the regions with "
        "read_segmentation(..., like=image)"
    )


_PRESENCE: Code = ("705057003", "SCT", "Presence")
_PRESENT: Code = ("52101004", "SCT", "Present")
_ABSENT: Code = ("2667000", "SCT", "Absent")
_SCORE: Code = ("SCORE", "99MEDVLP", "Score between 0 and 1")
_NO_UNIT: Code = ("1", "UCUM", "no units")
_PROCEDURE: Code = ("363679005", "SCT", "Imaging procedure")


def write_labels_sr(
    scores: Mapping[str, float],
    path: str | Path,
    source_files: Sequence[str | Path],
    *,
    thresholds: Mapping[str, float] | None = None,
    algorithm: str = "medvlp",
    version: str | None = None,
    codes: Mapping[str, Code] | None = None,
) -> None:
    """Write a measurement group for each finding: its score, and whether it is present where a threshold is given.

    The report is neither verified nor final: a program made it. It names the patient as its sources do, since an
    archive files it by that; it is meant for the archive that the sources came from, and for nowhere else.

    Args:
        scores: finding -> score between 0 and 1.
        path: file to write.
        source_files: the images that were looked at, all of one study.
        thresholds: finding -> score from which it counts as present.
        algorithm, version: what made the scores; the version of medvlp where None.
        codes: finding -> (value, scheme, meaning); the finding's own name in the scheme 99MEDVLP where missing.

    Raises:
        ValueError: there are no scores or no source files, or a score is not between 0 and 1.
    """
    from highdicom import sr
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    from medvlp import __version__

    if not scores or not source_files:
        raise ValueError("a report needs at least one score and one source file")
    wrong = [finding for finding, score in scores.items() if not 0 <= score <= 1]
    if wrong:
        raise ValueError(f"scores are between 0 and 1; these are not: {', '.join(wrong)}")
    groups = []
    for finding, score in scores.items():
        code = (codes or {}).get(finding, (finding.upper()[:16], "99MEDVLP", finding.replace("_", " ")[:64]))
        evaluations = []
        if thresholds and finding in thresholds:
            answer = _PRESENT if score >= thresholds[finding] else _ABSENT
            evaluations = [sr.QualitativeEvaluation(sr.CodedConcept(*_PRESENCE), sr.CodedConcept(*answer))]
        groups.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(uid=generate_uid(), identifier=finding),
                finding_type=sr.CodedConcept(*code),
                algorithm_id=sr.AlgorithmIdentification(name=algorithm, version=version or __version__),
                measurements=[sr.Measurement(sr.CodedConcept(*_SCORE), float(score), sr.CodedConcept(*_NO_UNIT))],
                qualitative_evaluations=evaluations,
            )
        )
    device = sr.ObserverContext(
        observer_type=sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=generate_uid(), manufacturer_name="medvlp", model_name=algorithm
        ),
    )
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=sr.CodedConcept(*_PROCEDURE),
        imaging_measurements=groups,
    )
    sr.ComprehensiveSR(
        evidence=[dcmread(name, stop_before_pixels=True) for name in source_files],
        content=report,
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="medvlp",
    ).save_as(path)
