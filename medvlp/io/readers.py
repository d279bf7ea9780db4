"""`read_image`, `read_volume`, `read_segmentation`: any file -> pixels with their geometry."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from medvlp.io.color import color_values, is_colored, palette_values
from medvlp.io.decoders import LOSSY_SYNTAXES
from medvlp.io.dicom_file import looks_like_dicom, parse_dicom
from medvlp.io.dicom_header import code, frame_header, numbers, text
from medvlp.io.errors import FormatError, as_read_error, open_file, read_bytes
from medvlp.io.grayscale import display_values
from medvlp.io.image import Image
from medvlp.io.picture import read_picture
from medvlp.io.pixel_layout import COLOR, padding_range, read_layout
from medvlp.io.segmentation import Segmentation, match_grid
from medvlp.io.stored_values import stored_values
from medvlp.io.walk import find_images, kind_of

THREADS = min(4, os.cpu_count() or 1)


def read_image(path: str | Path, *, frame: int | None = None, isolated: bool = False) -> Image:
    """Read a radiograph from DICOM, PNG, JPEG or TIFF.

    DICOM: modality LUT or rescale, VOI LUT or window, inversion of MONOCHROME1, padding to black (PS3.4 N.2.1; PS3.3
    C.11.1, C.11.2, C.7.5.1.1.2). Without a window the full range of the values present is shown, padding left out.
    Color and palette images are reduced to luma. Overlays are left out.

    Args:
        path: the file.
        frame: which frame of a multi-frame object, from 0; None reads the first. `Image.frame` says which it was.
        isolated: decode in a process of its own, so that a decoder that crashes or hangs is only a `ReadError`.

    Returns:
        Image with `array` float32 `[H, W]` between 0 and 1.

    Raises:
        ReadError: the file cannot be read or cannot be trusted; `reason` says why.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> image = read_image(get_testdata_file("CT_small.dcm"))
        >>> image.shape, image.modality
        ((128, 128), 'CT')
    """
    with as_read_error(path) as file:
        data = read_bytes(file)
        if looks_like_dicom(data):
            return _read_dicom(data, frame, isolated)
        kind = kind_of(data)
        if kind == "nifti":
            raise FormatError("a NIfTI volume and no radiograph: read it with read_volume")
        _refuse_foreign(kind)
        if isolated:
            from medvlp.io.process_pool import SANDBOX

            image: Image = SANDBOX.call(read_picture, data, frame)
            return image
        return read_picture(data, frame)


def _read_dicom(data: bytes, frame: int | None, isolated: bool) -> Image:
    file = parse_dicom(data)
    if not file.pixel_kind:
        raise FormatError("a DICOM object without pixels")
    layout = read_layout(file)
    index = frame or 0
    stored, layout = stored_values(file, layout, index, isolated=isolated, threads=THREADS)
    header = frame_header(file.header, index)
    ends = padding_range(layout, header) if layout.samples == 1 else None
    padding = None if ends is None else (stored >= ends[0]) & (stored <= ends[1])
    if layout.photometric in COLOR:
        array, steps = color_values(stored, layout)
    elif layout.photometric == "PALETTE COLOR":
        array, steps = palette_values(stored, layout, header, file.little_endian)
    else:
        lossy = file.syntax in LOSSY_SYNTAXES or text(file.header, "LossyImageCompression") == "01"
        array, steps = display_values(stored, layout, header, file.little_endian, lossy)
    if layout.frames > 1:
        steps = (f"frame {index} of {layout.frames}", *steps)
    return Image(
        array,
        spacing=_spacing(header),
        orientation=code(header, "PatientOrientation"),
        modality=code(header, "Modality") or "OT",
        view=code(header, "ViewPosition"),
        source="dicom",
        steps=steps,
        frame=index if layout.frames > 1 else None,
        padding=padding if padding is not None and padding.any() else None,
        frames=layout.frames,
        object_class=_class_name(text(file.header, "SOPClassUID")),
        body_part=code(header, "BodyPartExamined"),
        burned_in=code(header, "BurnedInAnnotation") == "YES",
        colored=layout.photometric in COLOR and is_colored(stored, (1 << layout.bits_stored) - 1, layout.photometric),
    )


def _spacing(header: Dataset) -> tuple[float, float] | None:
    """Row and column spacing in mm: in the patient where the file says, else at the detector (PS3.3 10.7.1)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = numbers(header, keyword)
        if len(values) == 2 and min(values) > 0:
            return values[0], values[1]
    return None


def _class_name(uid: str) -> str:
    name = UID(uid).name
    return "" if name == uid else name


def read_volume(
    path: str | Path,
    *,
    frame: int | None = None,
    series: int | None = None,
    isolated: bool = False,
    skip_broken: bool = False,
) -> Image:
    """Read a volume.

    DICOM: slices are grouped by series and geometry, sorted along their normal and rescaled one by one (PS3.3 C.11.1).
    Duplicates are dropped, missing slices and uneven distances interpolated, gantry tilt deskewed; `Image.steps` names
    each step. NIfTI: scaled by its own slope and intercept, and by nothing else.

    Args:
        path: a folder of DICOM files, one DICOM file, `.nii` or `.nii.gz`.
        frame: time point of a NIfTI file with four dimensions, from 0; None reads the first.
        series: which volume of a folder that has several, from 0, the largest first; None reads the largest.
        isolated: decode in a process of its own, so that a decoder that crashes or hangs is only a `ReadError`.
        skip_broken: go on without the files of a series that cannot be read; they are counted in `Image.steps`, and
            the slices that they leave out are interpolated.

    Returns:
        Image with `array` float32 `[D, H, W]`, axes to the head, the front and the right (`SAR`: what RAS is when the
        slowest axis comes first), `spacing` and `affine`. Oblique volumes keep their grid; the affine says how it lies.

    Raises:
        ReadError: a file is damaged, or the slices make no volume; `reason` says why.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> volume = read_volume(get_testdata_file("CT_small.dcm"))
        >>> volume.shape, volume.orientation, volume.spacing
        ((1, 128, 128), 'SAR', (5.0, 0.661468, 0.661468))
    """
    with as_read_error(path) as file:
        if file.is_dir():
            from medvlp.io.dicom_volume import read_dicom_volume

            found = find_images(file)
            if not found.files:
                raise FormatError(
                    f"no DICOM slice in the folder: {found}" if found.left_out else "the folder has no files"
                )
            return read_dicom_volume(found.files, series, isolated, sum(found.left_out.values()), skip_broken)
        kind = _kind(file)
        if kind == "nifti":
            from medvlp.io.nifti import read_nifti

            return read_nifti(file, frame)
        if kind != "dicom":
            raise FormatError(f"a picture ({kind}) and no volume: read it with read_image" if kind else _UNKNOWN)
        from medvlp.io.dicom_volume import read_dicom_volume

        return read_dicom_volume([file], series, isolated)


_UNKNOWN = "neither DICOM nor NIfTI: nothing here can read it"
_FOREIGN = {
    "nifti pair": "the header of a NIfTI pair (.hdr and .img): convert it to one .nii file",
    "analyze": "an Analyze header (.hdr), which says nothing of left and right: convert it to NIfTI",
    "nrrd": "an NRRD file: convert it to NIfTI (.nii.gz)",
    "metaimage": "a MetaImage file (.mha, .mhd): convert it to NIfTI (.nii.gz)",
    "dicomdir": "a DICOMDIR, the table of contents of a medium: read the folder beside it",
}


def _refuse_foreign(kind: str) -> None:
    if kind in _FOREIGN:
        raise FormatError(_FOREIGN[kind])


def _kind(file: Path) -> str:
    """`dicom`, `nifti` or the kind of picture, by content; by name where the content is damaged; "" for other files."""
    with open_file(file) as stream:
        start = stream.read(1024)
    if not start:
        raise FormatError("the file is empty")
    kind, name = kind_of(start), file.name.lower()
    if kind in ("", "analyze") and name.endswith((".nii", ".nii.gz")):
        return "nifti"  # its reader says what is wrong with it
    _refuse_foreign(kind)
    return kind or ("dicom" if looks_like_dicom(start) or name.endswith((".dcm", ".dicom", ".ima")) else "")


def read_segmentation(
    path: str | Path, *, like: Image | None = None, names: Mapping[int, str] | None = None
) -> Segmentation:
    """Read regions from PNG (or another picture), NIfTI, DICOM SEG or RTSTRUCT.

    Args:
        path: the file.
        like: the image that they belong to. The regions come out on its grid, the nearest voxel taken; without it they
            keep their own. An RTSTRUCT holds outlines in millimeters and needs it.
        names: value -> name, for PNG and NIfTI, which know none; other values are called `1`, `2`, ...

    Raises:
        ReadError: the file is damaged, or does not lie on `like`.
    """
    with as_read_error(path) as file:
        kind = _kind(file)
        if kind == "nifti":
            from medvlp.io.label_maps import read_nifti_labels

            found = read_nifti_labels(file, names or {})
        elif kind == "dicom":
            from medvlp.io.dicom_regions import read_dicom_regions

            found = read_dicom_regions(file, like)
        else:
            from medvlp.io.label_maps import read_picture_labels

            found = read_picture_labels(file, names or {})
        return found if like is None else match_grid(found, like)
