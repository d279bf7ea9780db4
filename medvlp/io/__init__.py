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
    from medvlp.io.hounsfield import to_hounsfield
    from medvlp.io.label_files import write_labels
    from medvlp.io.radiograph import read_image
    from medvlp.io.resampling import resample
    from medvlp.io.run_length import boxes_to_mask, decode_siim, encode_siim
    from medvlp.io.seg_writer import write_dicom_seg
    from medvlp.io.segmentation import Segmentation, read_segmentation
    from medvlp.io.sr_writer import write_labels_sr
    from medvlp.io.volume import read_volume
    from medvlp.io.windows import window

_LAZY = {
    "Segmentation": "medvlp.io.segmentation",
    "boxes_to_mask": "medvlp.io.run_length",
    "decode_siim": "medvlp.io.run_length",
    "encode_siim": "medvlp.io.run_length",
    "read_image": "medvlp.io.radiograph",
    "read_segmentation": "medvlp.io.segmentation",
    "read_volume": "medvlp.io.volume",
    "resample": "medvlp.io.resampling",
    "to_hounsfield": "medvlp.io.hounsfield",
    "window": "medvlp.io.windows",
    "write_dicom_seg": "medvlp.io.seg_writer",
    "write_labels": "medvlp.io.label_files",
    "write_labels_sr": "medvlp.io.sr_writer",
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
