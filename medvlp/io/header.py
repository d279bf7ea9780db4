"""`read_header`: what a file says it is, before any pixel is decoded, and nothing that identifies anybody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medvlp.io.errors import FormatError, as_read_error, open_file
from medvlp.io.walk import kind_of


@dataclass(frozen=True)
class Header:
    """What is known of a file from its header.

    Attributes:
        kind: `dicom`, `nifti`, `png`, `jpeg`, ...
        shape: `(rows, columns)`, of a NIfTI volume `(depth, height, width)` as it is stored; None without pixels.
        frames: of a multi-frame object, pages of a TIFF, time points of a NIfTI file; 0 without pixels.
        modality: DICOM modality code; "" where the file does not say.
        sop_class: SOP Class UID (0008,0016); "" for other files.
        sop_class_name: its name in the standard, "" where it has none.
        body_part: Body Part Examined (0018,0015), such as `CHEST`; "" where the file does not say.
        view: View Position (0018,5101); "" where the file does not say.
        laterality: `L`, `R` or `B` (both), "" where the file does not say.
        burned_in_annotation: Burned In Annotation (0028,0301); None where the file does not say.
        photometric: Photometric Interpretation (0028,0004) of a DICOM file.
    """

    kind: str
    shape: tuple[int, ...] | None = None
    frames: int = 0
    modality: str = ""
    sop_class: str = ""
    sop_class_name: str = ""
    body_part: str = ""
    view: str = ""
    laterality: str = ""
    burned_in_annotation: bool | None = None
    photometric: str = ""


def read_header(path: str | Path) -> Header:
    """Read what a file says of itself, without decoding its pixels.

    Raises:
        ReadError: no file, none that is known, or a damaged header.

    Examples:
        >>> import tempfile
        >>> from PIL import Image as Picture
        >>> file = Path(tempfile.mkdtemp()) / "x.png"
        >>> Picture.new("L", (30, 20)).save(file)
        >>> read_header(file).shape
        (20, 30)
    """
    with as_read_error(path) as file:
        with open_file(file) as stream:
            start = stream.read(1024)
        if not start:
            raise FormatError("the file is empty")
        kind = kind_of(start)
        if kind == "nifti":
            return _nifti(file)
        from medvlp.io.dicom_file import looks_like_dicom

        if kind == "dicom" or (not kind and looks_like_dicom(start)):
            return _dicom(file)
        return _picture(file, kind)


def _dicom(path: Path) -> Header:
    from pydicom.uid import UID

    from medvlp.io.dicom_file import open_dicom
    from medvlp.io.dicom_header import code, text
    from medvlp.io.pixel_layout import read_layout

    file = open_dicom(path)
    header = file.header
    sop_class = UID(text(header, "SOPClassUID"))
    layout = read_layout(file) if file.pixel_kind else None
    return Header(
        kind="dicom",
        shape=(layout.rows, layout.columns) if layout else None,
        frames=layout.frames if layout else 0,
        modality=code(header, "Modality"),
        sop_class=sop_class if sop_class.is_valid else "",
        sop_class_name="" if sop_class.name == sop_class else sop_class.name,
        body_part=code(header, "BodyPartExamined"),
        view=code(header, "ViewPosition"),
        laterality=code(header, "ImageLaterality") or code(header, "Laterality"),
        burned_in_annotation={"YES": True, "NO": False}.get(code(header, "BurnedInAnnotation")),
        photometric=layout.photometric if layout else "",
    )


def _nifti(path: Path) -> Header:
    from medvlp.io.nifti import nifti_shape

    shape = nifti_shape(path)
    frames = 1
    for count in shape[3:]:
        frames *= count
    return Header("nifti", shape[2::-1], frames)


def _picture(path: Path, kind: str) -> Header:
    from PIL import Image as Picture

    from medvlp.io.picture import FORMATS

    try:
        with Picture.open(path, formats=FORMATS) as picture:
            shape = picture.height, picture.width
            return Header((picture.format or kind).lower(), shape, getattr(picture, "n_frames", 1))
    except Exception:  # Pillow's plugins raise whatever a damaged file makes them meet
        raise FormatError("neither DICOM nor a picture: nothing here can read it") from None
