"""What a file says of itself before a pixel is decoded, and nothing of whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture

from medvlp.io import Header, ReadError, read_header

WriteDicom = Callable[..., Path]


def test_a_dicom_header(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        np.zeros((3, 4, 6), np.uint16),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1",
        Modality="DX",
        BodyPartExamined="CHEST",
        ViewPosition="PA",
        Laterality="L",
        BurnedInAnnotation="NO",
        PatientName="Smith^John",
    )
    header = read_header(path)
    assert header == Header(
        kind="dicom",
        shape=(4, 6),
        frames=3,
        modality="DX",
        sop_class="1.2.840.10008.5.1.4.1.1.1.1",
        sop_class_name="Digital X-Ray Image Storage - For Presentation",
        body_part="CHEST",
        view="PA",
        laterality="L",
        burned_in_annotation=False,
        photometric="MONOCHROME2",
    )


def test_a_header_does_not_decode_and_repeats_no_free_text(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.zeros((4, 6), np.uint16), BodyPartExamined="John Smith", Modality="John", ViewPosition="")
    whole = path.read_bytes()
    header = read_header(path)
    assert (header.body_part, header.modality, header.view) == ("", "", "")
    assert header.burned_in_annotation is None
    path.write_bytes(whole[:-4])
    with pytest.raises(ReadError, match="7FE0,0010"):  # damage that the header alone shows
        read_header(path)


def test_other_files(tmp_path: Path) -> None:
    Picture.new("RGB", (30, 20)).save(tmp_path / "x.jpg")
    assert read_header(tmp_path / "x.jpg") == Header("jpeg", (20, 30), 1)
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6, 7), np.int16), np.eye(4)), tmp_path / "x.nii.gz")
    assert read_header(tmp_path / "x.nii.gz") == Header("nifti", (6, 5, 4), 7)
    (tmp_path / "x.txt").write_text("words")
    (tmp_path / "empty").touch()
    for name, words in (("x.txt", "nothing here can read it"), ("empty", "empty"), ("none", "no such file")):
        with pytest.raises(ReadError, match=words):
            read_header(tmp_path / name)
