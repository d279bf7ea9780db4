"""PNG, JPEG, TIFF and other pictures -> a radiograph; they are meant for display, so white is the largest value."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageOps, UnidentifiedImageError

from medvlp.io.errors import Unreadable
from medvlp.io.image import Image
from medvlp.io.pixel_layout import MAX_FRAME_PIXELS

FORMATS = ("PNG", "JPEG", "TIFF", "JPEG2000", "BMP", "WEBP", "PPM")
_WHITE_IS_ZERO, _PHOTOMETRIC = 0, 262  # TIFF 6.0, PhotometricInterpretation


def read_picture(data: bytes, frame: int | None) -> Image:
    """Decode a picture.

    8-bit grey is divided by 255. 16-bit grey is divided by the largest value of the smallest bit depth that holds it, since
    12-bit radiographs in 16-bit files are common and would be black otherwise. Colour is reduced to luma, alpha lies over
    black, EXIF orientation is applied.

    Raises:
        Unreadable: no picture, a damaged one, or one beyond `MAX_FRAME_PIXELS`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = Picture.open(BytesIO(data), formats=FORMATS)
            if picture.width * picture.height > MAX_FRAME_PIXELS:
                raise Unreadable(f"a picture of {picture.height:,} x {picture.width:,} pixels is beyond the limit")
            pages = getattr(picture, "n_frames", 1)
            index = frame or 0
            if not 0 <= index < pages:
                raise Unreadable(f"frame {index} does not exist; the picture has {pages}")
            if pages > 1:
                picture.seek(index)
            array, steps = _grey(picture)
        except Unreadable:
            raise
        except UnidentifiedImageError:
            raise Unreadable("neither DICOM nor a picture: nothing here can read it") from None
        except (OSError, ValueError, SyntaxError, EOFError, Picture.DecompressionBombError) as error:
            raise Unreadable(f"the picture is damaged or cut short ({type(error).__name__})") from None
    kind = (picture.format or "picture").lower()
    return Image(np.ascontiguousarray(array), source=kind, steps=steps, frame=index if pages > 1 else None)


def _grey(picture: Picture.Image) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    steps: list[str] = []
    inverted = picture.format == "TIFF" and picture.mode.startswith("I;16") and _white_is_zero(picture)
    turned = ImageOps.exif_transpose(picture)
    if turned.size != picture.size or turned is not picture and picture.getexif().get(0x0112, 1) != 1:
        steps.append("turned as its EXIF orientation says")
    if turned.mode in ("1", "L"):
        return _scaled(np.asarray(turned.convert("L")), 255, [*steps, "8-bit grey"])
    if turned.mode.startswith("I") or turned.mode == "F":
        values = np.asarray(turned)
        if turned.mode == "F":
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            if not np.isfinite(values).all():
                raise Unreadable("the picture holds values that are not finite")
            scale = high - low or 1.0
            return _scaled(values - low, scale, [*steps, f"full range {low:g} to {high:g}"])
        top = int(values.max())
        white = (1 << max(8, top.bit_length())) - 1
        if inverted:
            values = white - values
            steps.append("inverted (white is zero)")
        return _scaled(values, white, [*steps, f"16-bit grey, white {white}"])
    if "A" in turned.getbands() or "transparency" in turned.info:
        layers = np.asarray(turned.convert("RGBA"), np.float32)
        grey = layers[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32) * (layers[..., 3] / 255)
        return _scaled(grey, 255, [*steps, f"{turned.mode} over black, reduced to luma"])
    grey = np.asarray(turned.convert("RGB"), np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return _scaled(grey, 255, [*steps, f"{turned.mode} reduced to luma"])


def _scaled(values: NDArray[np.generic], white: float, steps: list[str]) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    array = np.array(values, np.float32)
    array *= np.float32(1 / white)
    return np.clip(array, 0, 1, out=array), tuple(steps)


def _white_is_zero(picture: Picture.Image) -> bool:
    return getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
