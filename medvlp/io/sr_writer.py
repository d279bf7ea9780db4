"""`write_labels_sr`: findings of an image as a DICOM structured report (PS3.16 TID 1500, PS3.3 A.35.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Code = tuple[str, str, str]
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
