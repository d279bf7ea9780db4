"""The folders and tables of MIMIC-CXR 2.0.0, and those of the ground truth beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from medvlp.phantom.findings import FINDINGS
from medvlp.phantom.patients import Patient, Study
from medvlp.phantom.report import GeneratedReport
from medvlp.phantom.reported_findings import ReportedFinding, phrases

Row = dict[str, Any]

METADATA = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
SPLIT = ("dicom_id", "study_id", "subject_id", "split")
CHEXPERT = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
_STATE = {"present": 1.0, "absent": 0.0, "uncertain": -1.0}
_CELL = {"present": "1", "absent": "0", "uncertain": "u"}
_STRENGTH = ("absent", "uncertain", "present")


def patient_folder(root: Path, patient: Patient) -> Path:
    """`files/p10/p10000032`."""
    name = f"p{patient.number}"
    return root / "files" / name[:3] / name


def dicom_id(seed: int, patient: Patient, study: Study, view: int) -> str:
    """Five groups of eight hexadecimal digits, as the archive names its images."""
    digest = hashlib.sha256(f"{seed}/{patient.index}/{study.number}/{view}".encode()).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))


def study_time(study: Study) -> str:
    """Time of day as DICOM writes it."""
    minutes, seconds = divmod(study.second, 60)
    return f"{minutes // 60:02d}{minutes % 60:02d}{seconds:02d}.000"


def metadata_row(patient: Patient, study: Study, image: str, view: str, size: int) -> Row:
    """One row of `mimic-cxr-2.0.0-metadata.csv.gz`."""
    procedure = {"AP": "CHEST (PORTABLE AP)", "PA": "CHEST (PA AND LAT)", "LATERAL": "CHEST (PA AND LAT)"}[view]
    code = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral"}[view]
    posture = "Erect" if view != "AP" or study.second % 3 else "Recumbent"
    values = (
        image,
        patient.number,
        study.number,
        procedure,
        view,
        size,
        size,
        study.day.strftime("%Y%m%d"),
        study_time(study),
        procedure,
        code,
        posture,
    )
    return dict(zip(METADATA, values, strict=True))


def report_states(findings: list[ReportedFinding]) -> dict[str, str]:
    """The state of each reported finding: `present`, `uncertain` or `absent`, the strongest where there are several."""
    states: dict[str, str] = {}
    for s in findings:
        states[s.finding] = max(states.get(s.finding, "absent"), s.assertion, key=_STRENGTH.index)
    return states


def chexpert_row(patient: Patient, study: Study, report: GeneratedReport) -> Row:
    """One row of `mimic-cxr-2.0.0-chexpert.csv.gz`: 1.0, 0.0, -1.0 or blank, as a labeler reads the report."""
    row: Row = {"subject_id": patient.number, "study_id": study.number, **dict.fromkeys(CHEXPERT, "")}
    labels: dict[str, str] = {}

    def note(label: str, state: str) -> None:
        labels[label] = max(labels.get(label, "absent"), state, key=_STRENGTH.index)

    for finding, state in report_states(report.findings).items():
        if label := phrases(finding)["chexpert"]:
            note(label, state)
    for start, end, findings in report.sentences:
        positive = [s.assertion for s in findings if s.assertion != "absent"]
        if positive and "opacit" in report.text[start:end]:
            note("Lung Opacity", positive[0])
        if positive and "pneumonia" in report.text[start:end]:
            note("Pneumonia", "uncertain")  # never more than "concerning for" or "likely"
    row.update({label: _STATE[state] for label, state in labels.items()})
    if not any(state != "absent" for label, state in labels.items() if label != "Support Devices"):
        row["No Finding"] = 1.0
    return row


def study_row(patient: Patient, study: Study, findings: list[ReportedFinding]) -> Row:
    """One row of `truth/studies.csv`: the report's state of each finding, `1 | 0 | u | empty`."""
    states = report_states(findings)
    cells = {finding: _CELL[states[finding]] if finding in states else "" for finding in FINDINGS}
    return {"study_id": study.number, "patient_id": patient.number, "split": patient.split, **cells}


def image_row(patient: Patient, study: Study, image: str, view: str, seen: set[str]) -> Row:
    """One row of `truth/images.csv`: 1 where the image shows the finding, else 0."""
    cells = {finding: int(finding in seen) for finding in FINDINGS}
    return {"image_id": image, "study_id": study.number, "patient_id": patient.number, "view": view, **cells}


def sentence_rows(study: Study, report: GeneratedReport) -> list[Row]:
    """Rows of `truth/sentences.jsonl`: one for each sentence and finding; a sentence of no finding has one row."""
    rows = []
    for start, end, findings in report.sentences:
        base = {"study_id": study.number, "start": start, "end": end, "text": report.text[start:end]}
        for s in findings or (None,):
            rows.append(
                {
                    **base,
                    "finding": s.finding if s else None,
                    "assertion": s.assertion if s else None,
                    "place": s.place if s else None,
                    "side": s.side if s else None,
                }
            )
    return rows
