"""One file for each family of findings; see `base` for what they share and how to add one."""

from medvlp.phantom.findings import (
    airspace,
    atelectasis,
    chest_shape,
    devices,
    focal,
    hiatal_hernia,
    pleura,
    rib_fracture,
)
from medvlp.phantom.findings.base import DRAWINGS, FINDINGS, Drawing, Lesion, register

__all__ = [
    "DRAWINGS",
    "FINDINGS",
    "Drawing",
    "Lesion",
    "airspace",
    "atelectasis",
    "chest_shape",
    "devices",
    "focal",
    "hiatal_hernia",
    "pleura",
    "register",
    "rib_fracture",
]
