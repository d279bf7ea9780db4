"""The findings, one file for each family; `base` has what they share and how to add one."""

from medvlp.phantom.findings import airspace, devices, focal, lung_volume, mediastinum, pleura, rib_fracture
from medvlp.phantom.findings.base import FINDING_MODELS, FINDINGS, FindingModel, Lesion, register_finding

__all__ = [
    "FINDINGS",
    "FINDING_MODELS",
    "FindingModel",
    "Lesion",
    "airspace",
    "devices",
    "focal",
    "lung_volume",
    "mediastinum",
    "pleura",
    "register_finding",
    "rib_fracture",
]
