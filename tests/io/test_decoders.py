"""Every compressed syntax: values against pydicom's own decoders, and refusals that name what is wrong."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array

from medvlp.io import ReadError, read_image
from medvlp.io.codestream import read_codestream
from medvlp.io.dicom_file import parse_dicom
from medvlp.io.pixel_layout import read_layout
from medvlp.io.stored_values import stored_values

WriteDicom = Callable[..., Path]
RAMP = np.add.outer(np.arange(40) * 90, np.arange(60) * 5)
JPEG, JPEG_12, LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.70"
JPEG_LS, JPEG_2000, HTJ2K = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"
JPEG_XL, RLE, DEFLATED_FRAMES = "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"
COMPRESSED_TEST_FILES = (
    "693_J2KI.dcm", "GDCMJ2K_TextGBR.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm", "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_gdcm_KY.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_2frame.dcm", "rtdose_rle.dcm",
    "SC_rgb_rle_32bit.dcm", "SC_rgb_rle_32bit_2frame.dcm", "examples_jpeg2k.dcm", "SC_jpeg_no_color_transform.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm", "examples_ybr_color.dcm", "SC_rgb_jpeg_app14_dcmd.dcm",
)  # fmt: skip


def frames_of(path: str | Path) -> NDArray[Any]:
    file = parse_dicom(Path(path).read_bytes())
    layout = read_layout(file)
    frames = [stored_values(file, layout, index)[0] for index in range(layout.frames)]
    return np.stack(frames) if len(frames) > 1 else frames[0]


def compressed(write_dicom: WriteDicom, values: NDArray[Any], syntax: str, frame: bytes, **elements: Any) -> Path:
    """A file with one compressed frame."""
    path = write_dicom(values, **elements)
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = JPEG_LS
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path, enforce_file_format=True)
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)  # pydicom writes no syntax that it does not know
    written = b"\2\0\x10\0UI\x16\0" + JPEG_LS.encode()
    path.write_bytes(path.read_bytes().replace(written, written[:6] + len(uid).to_bytes(2, "little") + uid, 1))
    return path


@pytest.mark.parametrize("name", COMPRESSED_TEST_FILES)
def test_stored_values_equal_pydicom_s(name: str) -> None:
    path = get_testdata_file(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pixel_array(dcmread(path), raw=True)
    np.testing.assert_array_equal(frames_of(str(path)), expected)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (LOSSLESS, lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12)),
        (JPEG_LS, imagecodecs.jpegls_encode),
        (JPEG_2000, lambda a: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k", reversible=True)),
        (HTJ2K, lambda a: imagecodecs.htj2k_encode(a, reversible=True)),
        (JPEG_XL, lambda a: imagecodecs.jpegxl_encode(a, lossless=True)),
    ],
    ids=["JPEG lossless", "JPEG-LS", "JPEG 2000", "HTJ2K", "JPEG XL"],
)
def test_a_lossless_syntax_gives_the_values_back(
    write_dicom: WriteDicom, syntax: str, encode: Callable[[NDArray[np.uint16]], bytes]
) -> None:
    values = RAMP.astype(np.uint16)
    path = compressed(write_dicom, values, syntax, encode(values), BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(frames_of(path), values)


def test_12_bit_jpeg_extended_is_read(write_dicom: WriteDicom) -> None:
    """Every pydicom decoder refuses it."""
    values = RAMP.astype(np.uint16)
    frame = imagecodecs.jpeg8_encode(values, level=100, bitspersample=12)
    path = compressed(write_dicom, values, JPEG_12, frame, BitsStored=12, HighBit=11)
    assert np.abs(frames_of(path).astype(int) - values).max() <= 3


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_12_bit_jpeg_of_real_files_is_no_constant(name: str) -> None:
    image = read_image(str(get_testdata_file(name)))
    assert image.array.shape == (1024, 256)
    assert image.array.std() > 0.01


def test_single_bits_are_read_from_deflated_and_run_length_frames(write_dicom: WriteDicom) -> None:
    import zlib

    mask = (RAMP % 7 < 3).astype(np.uint8)[:, :57]
    packed = np.packbits(mask.reshape(-1), bitorder="little").tobytes()
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    runs = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56) + imagecodecs.packbits_encode(packed)
    for syntax, frame in ((DEFLATED_FRAMES, deflater.compress(packed) + deflater.flush()), (RLE, runs)):
        path = compressed(
            write_dicom, mask, syntax, frame + b"\0" * (len(frame) % 2), BitsAllocated=1, BitsStored=1, HighBit=0
        )
        np.testing.assert_array_equal(frames_of(path), mask)


def test_values_that_overshoot_in_lossy_htj2k_do_not_wrap_around(write_dicom: WriteDicom) -> None:
    values = np.where(RAMP // 90 % 2 == 0, 255, 0).astype(np.uint8)
    values[:, ::7] = 128
    frame = imagecodecs.htj2k_encode(values, level=0.02, reversible=False)
    path = compressed(write_dicom, values, "1.2.840.10008.1.2.4.203", frame)
    assert np.abs(frames_of(path).astype(int) - values).max() < 128


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEG, lambda a: imagecodecs.jpeg8_encode((a >> 4).astype(np.uint8))),
        (LOSSLESS, lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12)),
        (JPEG_LS, imagecodecs.jpegls_encode),
        (JPEG_2000, lambda a: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k", reversible=True)),
        (HTJ2K, lambda a: imagecodecs.htj2k_encode(a, reversible=True)),
    ],
    ids=["JPEG", "JPEG lossless", "JPEG-LS", "JPEG 2000", "HTJ2K"],
)
def test_a_stream_that_is_cut_short_is_refused_and_not_padded(
    write_dicom: WriteDicom, syntax: str, encode: Callable[[NDArray[np.uint16]], bytes], share: float
) -> None:
    values = (RAMP + RAMP**2 % 31).astype(np.uint16)
    whole = encode(values)
    container = values.astype(np.uint8) if syntax == JPEG else values
    path = compressed(write_dicom, container, syntax, whole[: int(len(whole) * share)])
    with pytest.raises(ReadError, match=r"cut short|damaged"):
        read_image(path)


def test_a_stream_of_another_size_than_the_header_is_not_decoded(write_dicom: WriteDicom) -> None:
    frame = imagecodecs.jpegls_encode(np.zeros((400, 600), np.uint8))
    path = compressed(write_dicom, np.zeros((40, 60), np.uint8), JPEG_LS, frame)
    with pytest.raises(ReadError, match="400 x 600 x 1, the header says 40 x 60 x 1"):
        read_image(path)


def test_the_stream_decides_where_the_syntax_is_wrong(write_dicom: WriteDicom) -> None:
    values = RAMP.astype(np.uint16)
    path = compressed(write_dicom, values, JPEG_2000, imagecodecs.jpegls_encode(values))
    np.testing.assert_array_equal(frames_of(path), values)


@pytest.mark.parametrize(
    ("syntax", "words"),
    [
        ("1.2.840.10008.1.2.4.102", "MPEG-4 video (1.2.840.10008.1.2.4.102) cannot be read"),
        ("1.2.3.4.5", "1.2.3.4.5 cannot be read"),
    ],
)
def test_a_syntax_that_nothing_reads_is_named(write_dicom: WriteDicom, syntax: str, words: str) -> None:
    path = compressed(write_dicom, np.zeros((8, 8), np.uint8), syntax, b"\0\0\1\xba" * 20)
    with pytest.raises(ReadError, match=re.escape(words)):
        read_image(path)


def test_jpeg_color_is_what_the_stream_says(write_dicom: WriteDicom) -> None:
    """A YCbCr stream (JFIF marker) under a header that says RGB: libraries differ, the luma must not."""
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[:8], rgb[8:] = (200, 30, 30), (20, 60, 220)
    frame = imagecodecs.jpeg8_encode(rgb, level=100)
    for photometric in ("RGB", "YBR_FULL"):
        path = compressed(write_dicom, rgb, JPEG, frame, PhotometricInterpretation=photometric)
        expected = rgb @ [0.299, 0.587, 0.114] / 255
        np.testing.assert_allclose(read_image(path).array, expected, atol=2 / 255)


def test_damage_inside_an_htj2k_stream_is_refused_although_its_decoder_goes_on(write_dicom: WriteDicom) -> None:
    values = (RAMP + RAMP**2 % 31).astype(np.uint16)
    whole = imagecodecs.htj2k_encode(values, reversible=True)
    refused = 0
    for place in range(len(whole) // 2, len(whole) - 100, 97):
        damaged = whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :]
        path = compressed(write_dicom, values, HTJ2K, damaged)
        try:
            frames_of(path)
        except Exception as error:
            refused += "damaged" in str(error)
    assert refused > 0


def test_codestream_headers_say_size_depth_and_sign() -> None:
    lossless = read_codestream(imagecodecs.ljpeg_encode(RAMP.astype(np.uint16), bitspersample=12))
    assert lossless is not None
    assert (lossless.kind, lossless.rows, lossless.columns, lossless.precision) == ("JPEG lossless", 40, 60, 12)
    wavelet = read_codestream(imagecodecs.jpeg2k_encode(RAMP.astype(np.int16) - 99, codecformat="j2k", reversible=True))
    assert wavelet is not None
    assert (wavelet.kind, wavelet.signed, wavelet.precision, wavelet.reversible) == ("JPEG 2000", True, 16, True)
    assert read_codestream(b"\1\0\0\0@\0\0\0" + bytes(60)) is None
