"""Enhanced multi-frame objects: one frame's header out of shared and per-frame functional groups (PS3.3 C.7.6.16)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medvlp.io.header_values import items

_GROUPS = (
    "PixelValueTransformationSequence",  # C.7.6.16.2.9: rescale
    "FrameVOILUTSequence",  # C.7.6.16.2.10: window
    "PixelMeasuresSequence",  # C.7.6.16.2.1: spacing
    "PlanePositionSequence",  # C.7.6.16.2.3
    "PlaneOrientationSequence",  # C.7.6.16.2.4
    "FrameContentSequence",  # C.7.6.16.2.2: which stack, which time
)


def frame_header(header: Dataset, frame: int) -> Dataset:
    """The elements that hold for one frame: per-frame groups go before shared ones, and both before the object's own.

    Returns:
        `header` itself where the object has no functional groups, else a copy with the groups' elements laid over it.
    """
    shared = items(header, "SharedFunctionalGroupsSequence")
    per_frame = items(header, "PerFrameFunctionalGroupsSequence")
    groups = shared[:1] + per_frame[frame : frame + 1]
    if not groups:
        return header
    flat = Dataset(header)
    for group in groups:
        for keyword in _GROUPS:
            for item in items(group, keyword)[:1]:
                if keyword == "PixelValueTransformationSequence" and "ModalityLUTSequence" in flat:
                    del flat.ModalityLUTSequence
                flat.update(item)
    return flat
