"""What a file says of itself where a chest radiograph is wanted: why it is refused, or what to remark."""

from __future__ import annotations

from collections.abc import Sequence

from medvlp.io.image import Image

RADIOGRAPHS = ("CR", "DX", "RG")
_UNKNOWN = ("", "OT")
_MODALITIES = {  # PS3.3 C.7.3.1.1.1; only for words, an unknown code is refused as well
    "CT": "a CT",
    "MR": "an MR",
    "US": "an ultrasound",
    "IVUS": "an ultrasound",
    "PT": "a PET",
    "NM": "a scintigram",
    "SEG": "a segmentation",
    "SR": "a structured report",
    "MG": "a mammogram",
    "PX": "a panoramic radiograph",
    "IO": "a dental radiograph",
    "XA": "an angiogram",
    "RF": "a fluoroscopy",
    "XC": "a photograph",
    "GM": "a microscopy",
    "SM": "a microscopy",
    "ES": "an endoscopy",
    "OP": "an eye photograph",
    "ECG": "an ECG",
    "RTDOSE": "a dose distribution",
    "RTIMAGE": "an image of radiotherapy",
    "RTSTRUCT": "a set of contours",
}
_CLASSES = ("Computed Radiography", "Digital X-Ray", "Secondary Capture", "Raw Data")  # begin an admissible SOP class
_CHEST = ("CHEST", "THORAX", "LUNG", "RIB", "HEART", "TORAX", "STERNUM", "CLAVICLE", "WHOLEBODY")
_LATERAL = ("LATERAL", "LL", "RL", "LLD", "RLD")


def refusal(image: Image) -> str:
    """Why an image is no chest radiograph by what its file says of itself; "" where nothing speaks against it.

    Examples:
        >>> import numpy as np
        >>> refusal(Image(np.zeros((8, 8), np.float32), modality="CT"))
        'a CT (modality CT); this is for chest radiographs'
        >>> refusal(Image(np.zeros((8, 8), np.float32), modality="DX", body_part="CHEST"))
        ''
    """
    what = ""
    if image.modality not in (*RADIOGRAPHS, *_UNKNOWN):
        what = f"{_MODALITIES.get(image.modality, 'no radiograph')} (modality {image.modality})"
    elif image.object_class and not any(word in image.object_class for word in _CLASSES):
        what = f"no radiograph ({image.object_class.removesuffix(' Storage')})"
    elif image.array.ndim == 3:
        what = "a volume"
    elif image.body_part and not any(word in image.body_part.replace(" ", "") for word in _CHEST):
        what = f"a radiograph of another body part ({image.body_part})"
    return f"{what}; this is for chest radiographs" if what else ""


def remarks(image: Image, trained_views: Sequence[str] = ()) -> list[str]:
    """What a reader of an answer has to know of an image that is admitted.

    Args:
        image: its header's values.
        trained_views: views that the model has seen; empty where that is not known.

    Examples:
        >>> import numpy as np
        >>> remarks(Image(np.zeros((8, 8), np.float32), view="LL", frame=0, frames=6), ["PA", "AP"])
        ['view LL, and the model was trained on AP, PA', 'frame 1 of 6']
    """
    found = []
    if image.view and trained_views and _plain_view(image.view) not in {_plain_view(view) for view in trained_views}:
        found.append(f"view {image.view}, and the model was trained on {', '.join(sorted(trained_views))}")
    if image.frames > 1:
        found.append(f"frame {(image.frame or 0) + 1} of {image.frames}")
    if image.burned_in:
        found.append("annotation is burned into its pixels")
    if "For Processing" in image.object_class:
        found.append("values of the detector, not made for display")
    if image.colored:
        found.append("in color, as no radiograph is")
    return found


def _plain_view(view: str) -> str:
    return "LATERAL" if view.upper() in _LATERAL else view.upper()
