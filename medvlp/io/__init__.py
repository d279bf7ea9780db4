"""Files in, images out: radiographs, volumes, regions and tables, with their geometry and without identities.

Imports from the package: `medvlp.errors` alone; no torch.
Begin reading at `readers.py`, then `image.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvlp.lazy import lazy_names

if TYPE_CHECKING:
    from medvlp.io.atomic_write import DiskFullError, atomic_file, atomic_folder
    from medvlp.io.dicom_export import write_dicom_seg, write_labels_sr
    from medvlp.io.errors import ReadError
    from medvlp.io.header import Header, read_header
    from medvlp.io.image import Image
    from medvlp.io.inspection import FileInfo, inspect_path
    from medvlp.io.intensity import to_hounsfield, window
    from medvlp.io.label_maps import write_labels
    from medvlp.io.process_pool import ProcessPool
    from medvlp.io.readers import read_image, read_segmentation, read_volume
    from medvlp.io.resampling import resample
    from medvlp.io.run_length import boxes_to_mask, decode_siim, encode_siim
    from medvlp.io.segmentation import Segmentation
    from medvlp.io.tables import TableError, read_table
    from medvlp.io.thumbnails import contact_sheet, thumbnail
    from medvlp.io.walk import FoundFiles, find_images

_LAZY = {
    "DiskFullError": "atomic_write",
    "FileInfo": "inspection",
    "FoundFiles": "walk",
    "Header": "header",
    "Image": "image",
    "ProcessPool": "process_pool",
    "ReadError": "errors",
    "Segmentation": "segmentation",
    "TableError": "tables",
    "atomic_file": "atomic_write",
    "atomic_folder": "atomic_write",
    "boxes_to_mask": "run_length",
    "contact_sheet": "thumbnails",
    "decode_siim": "run_length",
    "encode_siim": "run_length",
    "find_images": "walk",
    "inspect_path": "inspection",
    "read_header": "header",
    "read_image": "readers",
    "read_segmentation": "readers",
    "read_table": "tables",
    "read_volume": "readers",
    "resample": "resampling",
    "thumbnail": "thumbnails",
    "to_hounsfield": "intensity",
    "window": "intensity",
    "write_dicom_seg": "dicom_export",
    "write_labels": "label_maps",
    "write_labels_sr": "dicom_export",
}

__all__ = [
    "DiskFullError",
    "FileInfo",
    "FoundFiles",
    "Header",
    "Image",
    "ProcessPool",
    "ReadError",
    "Segmentation",
    "TableError",
    "atomic_file",
    "atomic_folder",
    "boxes_to_mask",
    "contact_sheet",
    "decode_siim",
    "encode_siim",
    "find_images",
    "inspect_path",
    "read_header",
    "read_image",
    "read_segmentation",
    "read_table",
    "read_volume",
    "resample",
    "thumbnail",
    "to_hounsfield",
    "window",
    "write_dicom_seg",
    "write_labels",
    "write_labels_sr",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
