"""Enhanced multi-frame objects: one frame's header out of shared and per-frame functional groups (PS3.3 C.7.6.16)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medvlp.io.header_values import item

_GROUPS = {  # each with what it replaces in the object itself
    "PixelValueTransformationSequence": "ModalityLUTSequence",  # C.7.6.16.2.9: rescale
    "FrameVOILUTSequence": "VOILUTSequence",  # C.7.6.16.2.10: window
    "PixelMeasuresSequence": "",  # C.7.6.16.2.1: spacing
    "PlanePositionSequence": "",  # C.7.6.16.2.3
    "PlaneOrientationSequence": "",  # C.7.6.16.2.4
    "FrameContentSequence": "",  # C.7.6.16.2.2: which stack, which time
    "SegmentIdentificationSequence": "",  # C.8.20.3.1: which segment
}


def frame_header(header: Dataset, frame: int) -> Dataset:
    """The elements that hold for one frame: per-frame groups go before shared ones, and both before the object's own.

    Returns:
        `header` itself where the object has no functional groups, else a copy with the groups' elements laid over it.
    """
    groups = [
        item(header, "SharedFunctionalGroupsSequence", 0),
        item(header, "PerFrameFunctionalGroupsSequence", frame),
    ]
    present = [group for group in groups if group is not None]
    if not present:
        return header
    flat = Dataset({tag: header.get_item(tag) for tag in header.keys()})  # noqa: SIM118 (iterating yields elements)
    for group in present:
        for keyword, replaced in _GROUPS.items():
            macro = item(group, keyword, 0)
            if macro is not None:
                if replaced and replaced in flat:
                    del flat[replaced]
                flat.update(macro)
    return flat
