"""PNG, JPEG, TIFF and other pictures -> a radiograph; they are made for display, so the largest value is white."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from medvlp.io.codestream import read_codestream
from medvlp.io.color import LUMA, is_colored
from medvlp.io.errors import FormatError
from medvlp.io.image import Image
from medvlp.io.lookup_table import in_blocks
from medvlp.io.pixel_layout import MAX_FRAME_SAMPLES

FORMATS = ("PNG", "JPEG", "TIFF", "JPEG2000", "BMP", "WEBP", "PPM")
_ORIENTATION, _PHOTOMETRIC, _WHITE_IS_ZERO = 0x0112, 262, 0  # EXIF 2.3 and TIFF 6.0 tags


@dataclass(frozen=True)
class DecodedPicture:
    """A picture upright, its values as they are stored.

    Attributes:
        values: `[H, W]` gray or palette index, `[H, W, 2]` gray and alpha, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.
        kind: `png`, `jpeg`, ...
        lossy: its values are near to what was written, not equal.
        white_is_zero: its values are still inverted.
        pages: how many there are.
        steps: what was done.
    """

    values: NDArray[Any]
    kind: str
    lossy: bool
    white_is_zero: bool
    pages: int
    steps: tuple[str, ...]


def read_picture(data: bytes, frame: int | None) -> Image:
    """Decode a picture as a radiograph.

    8-bit gray is divided by 255. 16-bit gray is divided by the largest value of the smallest bit depth that holds it:
    radiographs of 12 bits in files of 16 are common and would be black otherwise. Color is reduced to luma, alpha lies
    over black, EXIF orientation is applied.

    Args:
        data: the file.
        frame: page of a TIFF, from 0; None reads the first.

    Raises:
        FormatError: no picture, a damaged one, or one beyond `MAX_FRAME_SAMPLES`.
    """
    picture = decode_picture(data, frame)
    gray, steps = _gray(picture.values, picture.white_is_zero)
    number, values = frame or 0 if picture.pages > 1 else None, picture.values
    return Image(
        np.ascontiguousarray(gray),
        source=picture.kind,
        steps=(*steps, *picture.steps),
        frame=number,
        frames=picture.pages,
        colored=values.ndim == 3 and values.shape[2] >= 3 and is_colored(values, float(np.iinfo(values.dtype).max)),
    )


def decode_picture(data: bytes, frame: int | None = None, *, indices: bool = False) -> DecodedPicture:
    """Decode a picture and turn it upright, for images and their masks alike.

    Args:
        data: the file.
        frame: page of a TIFF, from 0; None reads the first.
        indices: palette and bilevel pictures keep their indices, as masks need them.

    Raises:
        FormatError: no picture, a damaged one, or one beyond `MAX_FRAME_SAMPLES`.
    """
    try:
        picture = Picture.open(BytesIO(data), formats=FORMATS)
        if picture.width * picture.height * len(picture.getbands()) > MAX_FRAME_SAMPLES:
            raise FormatError(f"a picture of {picture.height:,} x {picture.width:,} pixels is beyond the limit")
        pages = getattr(picture, "n_frames", 1)
        if not 0 <= (frame or 0) < pages:
            raise FormatError(f"frame {frame} does not exist; the picture has {pages}")
        if pages > 1:
            picture.seek(frame or 0)
        orientation = picture.getexif().get(_ORIENTATION, 1)
        keep = indices and picture.mode in ("P", "1")
        values = np.asarray(picture).astype(np.uint8) if keep else _values(picture, data)
        white_is_zero = _white_is_zero(picture) and values.dtype.itemsize > 1  # Pillow inverts 8 bits itself
        if values.dtype.kind == "f" and (values.ndim != 2 or not np.isfinite(values).all()):
            raise FormatError("a floating point picture needs one channel of finite values")
        if values.dtype.kind == "i" and values.min() < 0:
            raise FormatError("the picture has negative values: it is no radiograph for display")
    except UnidentifiedImageError:
        raise FormatError("neither DICOM nor a picture: nothing here can read it") from None
    except FormatError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever a damaged file makes them meet
        raise FormatError(f"the picture is damaged or cut short ({type(error).__name__})") from None
    steps: tuple[str, ...] = ()
    if picture.format != "TIFF" and orientation in range(2, 9):  # Pillow turns TIFF while it loads
        values = _upright(values, orientation)
        steps = (f"turned by EXIF orientation {orientation}",)
    kind = (picture.format or "picture").lower()
    stream = read_codestream(data) if kind == "jpeg2000" else None
    lossy = kind in ("jpeg", "webp") or (stream is not None and not stream.reversible)
    return DecodedPicture(values, kind, lossy, white_is_zero, pages, steps)


def _values(picture: Picture.Image, data: bytes) -> NDArray[Any]:
    """Decoded values `[H, W]` gray, `[H, W, 2]` gray and alpha, `[H, W, 3]` RGB or `[H, W, 4]` RGBA."""
    if picture.format == "JPEG" and picture.mode in ("L", "RGB"):
        stream = read_codestream(data)
        if stream is not None and stream.complete and stream.precision == 8:
            return imagecodecs.jpeg8_decode(data)  # 1.5 times as fast as Pillow, which is strict about cut streams
    if picture.format == "PNG" and data[24] == 16:
        return imagecodecs.png_decode(data)  # Pillow halves the depth of 16-bit color and alpha
    if picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    elif picture.mode in ("CMYK", "YCbCr", "LAB", "HSV", "PA", "La", "RGBa", "RGBX"):
        picture = picture.convert("RGBA" if picture.mode in ("PA", "La", "RGBa") else "RGB")
    return np.asarray(picture)


def _gray(values: NDArray[Any], white_is_zero: bool) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Luma between 0 and 1, and the steps in words."""
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        return ((values - low) / (high - low or 1)).astype(np.float32), (f"full range {low:g} to {high:g}",)
    channels = values.shape[2] if values.ndim == 3 else 1
    light = values[..., :-1] if channels in (2, 4) else values  # alpha is no light and says nothing of white
    white = _white(light)
    steps = [f"divided by {white}"]
    if channels >= 3:
        gray = in_blocks(lambda rows: np.minimum(rows.astype(np.float32) @ LUMA / np.float32(white), 1), light)
        steps.append("RGB reduced to luma")
    else:
        gray = np.divide(light.reshape(values.shape[:2]), white, dtype=np.float32)
    if white_is_zero:
        gray = 1 - gray
        steps.append("inverted (white is zero)")
    if channels in (2, 4):
        alpha = values[..., -1]
        opaque = white if alpha.max() <= white else int(np.iinfo(values.dtype).max)
        gray *= np.divide(alpha, opaque, dtype=np.float32)
        steps.append("alpha over black")
    return gray, tuple(steps)


def _white(light: NDArray[Any]) -> int:
    """The largest value of the smallest bit depth that holds the values."""
    top = 255 if light.dtype.itemsize == 1 else int(light.max())
    return (1 << max(8, top.bit_length())) - 1


def _white_is_zero(picture: Picture.Image) -> bool:
    return picture.format == "TIFF" and getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """EXIF 2.3 section 4.6.4: where row 0 and column 0 lie; 2 to 8."""
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values[:, ::-1] if orientation in (2, 3, 6, 7) else values
