"""The phantom: generated chest radiographs with reports and ground truth, in the layout of MIMIC-CXR.

Numbers in, files out: imports no other room. Everything is drawn at random; nothing stems from a real person.
Begin with `generate` in `generate.py` and `FindingModel` in `findings/base.py`; docs/phantom.md describes the method.
"""

from medvlp.phantom.findings import FINDING_MODELS, FINDINGS, FindingModel, Lesion, register_finding
from medvlp.phantom.generate import NOTICE, PhantomConfig, generate
from medvlp.phantom.patients import DiseaseModel, Patient, Study, sample_patient
from medvlp.phantom.render import RenderedView, render_view, write_contact_sheet
from medvlp.phantom.report import GeneratedReport, write_report

__all__ = [
    "FINDINGS",
    "FINDING_MODELS",
    "NOTICE",
    "DiseaseModel",
    "FindingModel",
    "GeneratedReport",
    "Lesion",
    "Patient",
    "PhantomConfig",
    "RenderedView",
    "Study",
    "generate",
    "register_finding",
    "render_view",
    "sample_patient",
    "write_contact_sheet",
    "write_report",
]
