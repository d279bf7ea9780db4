"""Files in, images out: radiographs, volumes and segmentations with their geometry, and nothing that identifies.

`read_image` returns a radiograph as float32 `[H, W]` between 0 and 1, bone white; `read_volume` a volume as float32
`[D, H, W]`, Hounsfield units for CT, in RAS. Whatever cannot be trusted is a `ReadError` whose `reason` says what is
wrong. The readers are imported when they are first called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medvlp.io.errors import ReadError
from medvlp.io.image import Image

if TYPE_CHECKING:
    from medvlp.io.dicom_export import write_dicom_seg, write_labels_sr
    from medvlp.io.intensity import to_hounsfield, window
    from medvlp.io.label_maps import write_labels
    from medvlp.io.readers import read_image, read_segmentation, read_volume
    from medvlp.io.resampling import resample
    from medvlp.io.run_length import boxes_to_mask, decode_siim, encode_siim
    from medvlp.io.segmentation import Segmentation

_LAZY = {
    "Segmentation": "medvlp.io.segmentation",
    "boxes_to_mask": "medvlp.io.run_length",
    "decode_siim": "medvlp.io.run_length",
    "encode_siim": "medvlp.io.run_length",
    "read_image": "medvlp.io.readers",
    "read_segmentation": "medvlp.io.readers",
    "read_volume": "medvlp.io.readers",
    "resample": "medvlp.io.resampling",
    "to_hounsfield": "medvlp.io.intensity",
    "window": "medvlp.io.intensity",
    "write_dicom_seg": "medvlp.io.dicom_export",
    "write_labels": "medvlp.io.label_maps",
    "write_labels_sr": "medvlp.io.dicom_export",
}

__all__ = [
    "Image",
    "ReadError",
    "Segmentation",
    "boxes_to_mask",
    "decode_siim",
    "encode_siim",
    "read_image",
    "read_segmentation",
    "read_volume",
    "resample",
    "to_hounsfield",
    "window",
    "write_dicom_seg",
    "write_labels",
    "write_labels_sr",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'medvlp.io' has no attribute {name!r}; it has {', '.join(__all__)}")
