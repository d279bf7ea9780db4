"""Pictures: every depth and mode that radiographs come in, against their values."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image as Picture

from medvlp.io import ReadError, read_image

RAMP = np.arange(96, dtype=np.uint8).reshape(8, 12)
LUMA = [0.299, 0.587, 0.114]


@pytest.mark.parametrize("kind", ["png", "tiff", "bmp", "ppm"])
def test_8_bit_grey_is_divided_by_255(tmp_path: Path, kind: str) -> None:
    Picture.fromarray(RAMP).save(tmp_path / f"x.{kind}")
    image = read_image(tmp_path / f"x.{kind}")
    np.testing.assert_allclose(image.array, RAMP / 255, atol=1e-6)
    assert (image.source, image.steps, image.modality) == (kind, ("divided by 255",), "OT")


def test_jpeg_equals_pillow(tmp_path: Path) -> None:
    Picture.fromarray(np.kron(RAMP, np.ones((4, 4), np.uint8))).save(tmp_path / "x.jpg", quality=90)
    expected = np.asarray(Picture.open(tmp_path / "x.jpg"))
    np.testing.assert_allclose(read_image(tmp_path / "x.jpg").array, expected / 255, atol=1.5 / 255)


@pytest.mark.parametrize(("top", "white"), [(65535, 65535), (4000, 4095), (200, 255), (20000, 32767)])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bit_grey_is_never_black_by_its_container(tmp_path: Path, kind: str, top: int, white: int) -> None:
    values = np.linspace(0, top, 96).astype(np.uint16).reshape(8, 12)
    Picture.fromarray(values).save(tmp_path / f"x.{kind}")
    np.testing.assert_allclose(read_image(tmp_path / f"x.{kind}").array, values / white, atol=1e-6)


def test_tiff_where_white_is_zero_is_inverted(tmp_path: Path) -> None:
    for values, white in ((RAMP, 255), (RAMP.astype(np.uint16) * 600, 65535)):
        path = tmp_path / "x.tiff"
        path.write_bytes(_white_is_zero(values))
        np.testing.assert_allclose(read_image(path).array, 1 - values / white, atol=1e-6)


def _white_is_zero(values: np.ndarray) -> bytes:
    """A TIFF of one strip with PhotometricInterpretation 0, entry by entry (TIFF 6.0)."""
    entries = [(256, values.shape[1]), (257, values.shape[0]), (258, values.itemsize * 8), (259, 1), (262, 0)]
    entries += [(273, 8), (277, 1), (278, values.shape[0]), (279, values.nbytes)]
    raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
    directory = len(entries).to_bytes(2, "little")
    for tag, value in entries:
        directory += tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
    return b"II*\0" + (8 + len(raw)).to_bytes(4, "little") + raw + directory + bytes(4)


def test_rgb_palette_and_cmyk_are_reduced_to_luma(tmp_path: Path) -> None:
    rgb = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=-1)
    for mode, kind in (("RGB", "png"), ("P", "png"), ("CMYK", "tiff")):
        picture = Picture.fromarray(rgb).convert(mode)
        picture.save(tmp_path / f"x.{kind}")
        expected = np.asarray(picture.convert("RGB")) @ LUMA / 255
        np.testing.assert_allclose(read_image(tmp_path / f"x.{kind}").array, expected, atol=1e-6)


def test_16_bit_rgb_keeps_its_depth(tmp_path: Path) -> None:
    rgb = np.stack([RAMP.astype(np.uint16) * 40] * 3, axis=-1)  # 12 bits: Pillow would leave 15 gray levels
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(rgb))
    np.testing.assert_allclose(read_image(tmp_path / "x.png").array, RAMP * 40.0 / 4095, atol=1e-6)


def test_alpha_lies_over_black(tmp_path: Path) -> None:
    alpha = np.full_like(RAMP, 255)
    alpha[:, :4] = 0
    Picture.merge("LA", [Picture.fromarray(RAMP), Picture.fromarray(alpha)]).save(tmp_path / "la.png")
    Picture.merge("RGBA", [Picture.fromarray(RAMP)] * 3 + [Picture.fromarray(alpha)]).save(tmp_path / "rgba.png")
    for name in ("la.png", "rgba.png"):
        np.testing.assert_allclose(read_image(tmp_path / name).array, RAMP / 255 * (alpha > 0), atol=1e-6)


def test_bilevel_is_black_and_white(tmp_path: Path) -> None:
    Picture.fromarray(RAMP > 40).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png").array, RAMP > 40)


EXIF = {  # EXIF 2.3 section 4.6.4: the corner where row 0 and column 0 of the stored picture lie
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.transpose(a), 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", EXIF)
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_exif_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    blocks = np.kron(RAMP // 32 * 80, np.ones((8, 8), np.uint8))
    exif = Picture.Exif()
    exif[0x0112] = orientation
    Picture.fromarray(blocks).save(tmp_path / f"x.{kind}", exif=exif)
    shown = read_image(tmp_path / f"x.{kind}").array
    np.testing.assert_allclose(shown, EXIF[orientation](blocks) / 255, atol=8 / 255)


def test_pages_of_a_tiff_are_frames(tmp_path: Path) -> None:
    pages = [Picture.fromarray(RAMP + page) for page in range(3)]
    pages[0].save(tmp_path / "x.tiff", save_all=True, append_images=pages[1:])
    image = read_image(tmp_path / "x.tiff", frame=2)
    np.testing.assert_allclose(image.array, (RAMP + 2) / 255, atol=1e-6)
    assert image.frame == 2
    with pytest.raises(ReadError, match="frame 3 does not exist; the picture has 3"):
        read_image(tmp_path / "x.tiff", frame=3)


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_picture_that_is_cut_short_is_refused_and_not_padded(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    Picture.fromarray(noise).save(tmp_path / f"x.{kind}")
    raw = (tmp_path / f"x.{kind}").read_bytes()
    (tmp_path / f"x.{kind}").write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(ReadError, match=r"cut short|nothing here can read it"):
        read_image(tmp_path / f"x.{kind}")


def test_a_header_that_asks_for_ten_thousand_million_pixels_is_refused(tmp_path: Path) -> None:
    Picture.fromarray(RAMP).save(tmp_path / "x.png")
    raw = bytearray((tmp_path / "x.png").read_bytes())
    raw[16:24] = (100_000).to_bytes(4, "big") * 2
    import zlib

    raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    (tmp_path / "x.png").write_bytes(raw)
    with pytest.raises(ReadError, match=r"100,000 x 100,000 pixels is beyond the limit|damaged"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize(("content", "words"), [(b"", "empty"), (b"hello world" * 30, "neither DICOM nor a picture")])
def test_what_is_no_image_says_so(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ReadError, match=words):
        read_image(tmp_path / "x")
    with pytest.raises(ReadError, match="is a folder"):
        read_image(tmp_path)
