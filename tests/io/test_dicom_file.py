"""Headers: whole, headless, deflated and hostile."""

from __future__ import annotations

import logging
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from medvlp.io import ReadError, read_image
from medvlp.io.dicom_file import parse_dicom

WriteDicom = Callable[..., Path]
DEFLATED = "1.2.840.10008.1.2.1.99"


def deflated(path: Path, body: bytes | None = None) -> Path:
    """Turn an uncompressed file into one with a deflated data set, `body` if given."""
    raw = path.read_bytes()
    (group_length,) = struct.unpack_from("<I", raw, 140)
    start = 144 + group_length
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflater.compress(raw[start:] if body is None else body) + deflater.flush()
    old = b"\2\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
    new = b"\2\0\x10\0UI\x16\0" + DEFLATED.encode()
    path.write_bytes(raw[:start].replace(old, new) + packed)
    return path


def test_identifying_elements_never_leave_the_file(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        np.zeros((4, 4), np.uint8), PatientName="PLANTED^NAME", AccessionNumber="ACC77", StudyDate="20200229"
    )
    header = parse_dicom(path.read_bytes()).header
    for keyword in ("PatientName", "AccessionNumber", "StudyDate"):
        assert keyword not in header


def test_missing_preamble_and_missing_meta_group_are_read(write_dicom: WriteDicom) -> None:
    values = np.arange(16, dtype=np.uint8).reshape(4, 4)
    for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"):
        path = write_dicom(values, syntax=syntax)
        raw = path.read_bytes()
        (group_length,) = struct.unpack_from("<I", raw, 140)
        expected = read_image(path).array
        for headless in (raw[132:], raw[144 + group_length :]):
            path.write_bytes(headless)
            np.testing.assert_array_equal(read_image(path).array, expected)


def test_a_deflated_data_set_is_inflated(write_dicom: WriteDicom) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8)
    plain = read_image(write_dicom(values, "a.dcm")).array
    np.testing.assert_array_equal(read_image(deflated(write_dicom(values, "b.dcm"))).array, plain)
    np.testing.assert_array_equal(read_image(str(get_testdata_file("image_dfl.dcm"))).array.shape, (512, 512))


def test_a_deflate_bomb_is_stopped_before_it_fills_the_memory(
    write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medvlp.io.dicom_file.MAX_INFLATED", 1 << 22)
    path = deflated(write_dicom(np.zeros((4, 4), np.uint8)), bytes(1 << 27))
    tracemalloc.start()
    with pytest.raises(ReadError, match="grows past 4 MiB"):
        read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 25


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_deflated_data_set_that_is_cut_short_is_refused(write_dicom: WriteDicom, share: float) -> None:
    rng = np.random.default_rng(0)
    path = deflated(write_dicom(rng.integers(0, 255, (64, 64)).astype(np.uint8)))
    raw = path.read_bytes()
    start = 144 + struct.unpack_from("<I", raw, 140)[0]
    path.write_bytes(raw[: start + int((len(raw) - start) * share)])
    with pytest.raises(ReadError, match="cut short"):
        read_image(path)


def test_a_length_beyond_the_file_is_refused_by_its_tag_before_it_is_allocated(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.zeros((4, 4), np.uint8), StudyDescription="x" * 10)
    raw = path.read_bytes()
    at = raw.index(b"\x08\0\x30\x10LO")
    path.write_bytes(raw[: at + 4] + b"UT\0\0" + struct.pack("<I", 0xFFFFFFF0) + raw[at + 8 :])
    tracemalloc.start()
    with pytest.raises(ReadError, match=r"\(0008,1030\) says 4,294,967,280 bytes"):
        read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


def test_pixel_data_longer_than_the_file_are_refused(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.zeros((64, 64), np.uint16))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ReadError, match=r"\(7FE0,0010\) says 8,192 bytes and the file ends after 7,192"):
        read_image(path)


def test_sequences_nested_without_end_are_refused(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.zeros((4, 4), np.uint8))
    raw = path.read_bytes()
    at = raw.index(b"\x28\0\x02\0US")
    deep = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    path.write_bytes(raw[:at] + deep + raw[at:])
    with pytest.raises(ReadError, match=r"nested too deeply|not a readable DICOM header"):
        read_image(path)


@pytest.mark.parametrize("name", ["rtplan.dcm", "test-SR.dcm", "waveform_ecg.dcm"])
def test_objects_without_pixels_say_so(name: str) -> None:
    with pytest.raises(ReadError, match="a DICOM object without pixels"):
        read_image(str(get_testdata_file(name)))


def test_no_value_of_the_header_reaches_reason_log_or_warning(
    write_dicom: WriteDicom, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_dicom(np.zeros((4, 4), np.uint8), PatientName="PLANTED", Modality="SMITH^JOHN", PatientID="8812")
    raw = path.read_bytes()
    at = raw.index(b"\x28\0\x02\0US")
    planted = b"\x28\0\x50\x10DS\x08\0DOE^JANE\x28\0\x51\x10DS\x08\0DOE^JANE"
    place = raw.index(b"\xe0\x7f\x10\0", at)
    path.write_bytes(raw[:place] + planted + raw[place:])
    caplog.clear()  # what pydicom said while the test wrote the file
    with (
        caplog.at_level(logging.DEBUG),
        warnings.catch_warnings(record=True) as caught,
        pytest.raises(ReadError) as info,
    ):
        read_image(path)
    said = info.value.reason + caplog.text + "".join(str(warning.message) for warning in caught)
    assert "(0028,1050) is not a number" in said or "(0028,1050) cannot be read" in said
    for secret in ("DOE", "JANE", "PLANTED", "SMITH", "8812"):
        assert secret not in said


def test_a_code_that_could_be_a_name_is_left_out(write_dicom: WriteDicom) -> None:
    image = read_image(write_dicom(np.zeros((4, 4), np.uint8), Modality="Smith^John", ViewPosition="PA"))
    assert (image.modality, image.view) == ("OT", "PA")
