"""One walker: images by content, links once, and a count of all that is left out."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path

import pytest

from medvlp.io.walk import find_images, find_named, walk_folder

DICOM = bytes(128) + b"DICM" + bytes(100)
NIFTI = (348).to_bytes(4, "little") + bytes(340) + b"n+1\0" + bytes(20)


def names(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in find_images(folder).files]


@pytest.mark.parametrize(
    "name", ["1.2.840.113619.2.55", "IMG.0001", "scan.img", "IM0001", "I", "slice.v2", "x.DCM", "no.suffix.here"]
)
def test_dicom_is_found_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(DICOM)
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("volume", NIFTI),
        ("volume.img", gzip.compress(NIFTI, mtime=0)),
        ("a.picture", b"\x89PNG\r\n\x1a\n"),
        ("b", b"\xff\xd8\xff\xe0"),
        ("old", b"\x08\0\x05\0CS\x0a\0ISO_IR 100"),
        ("older", b"\x08\0\0\0\x04\0\0\0\xff\0\0\0\x08\0"),
    ],
    ids=["nifti", "nifti gz", "png", "jpeg", "explicit", "implicit"],
)
def test_images_are_found_by_content(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert names(tmp_path) == [name]


def test_a_file_named_as_an_image_is_kept_for_the_reader_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "error.jpg").write_text("<html>404</html>")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "IM0003").touch()
    assert names(tmp_path) == ["IM0003", "empty.dcm", "error.jpg"]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    for name in (".DS_Store", "._a.png", "labels.csv", "notes.txt", "more.txt", "README"):
        (tmp_path / name).write_text("words and more words")
    (tmp_path / "DICOMDIR").write_bytes(DICOM + b"1.2.840.10008.1.3.10")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.png").write_bytes(b"\x89PNG")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    found = find_images(tmp_path)
    assert [file.name for file in found.files] == ["a.png"]
    assert found.left_out == {
        "hidden file": 2,
        "hidden folder": 1,
        "not an image (.csv)": 1,
        "not an image (.txt)": 2,
        "not an image (no suffix)": 1,
        "DICOMDIR": 1,
        "broken link": 1,
    }
    assert str(found).startswith("1 files; left out: 2 ")


def test_links_are_followed_once_and_cycles_end(tmp_path: Path) -> None:
    study, archive = tmp_path / "study", tmp_path / "archive"
    (study / "real").mkdir(parents=True)
    (archive / "deep").mkdir(parents=True)
    for file in (study / "real" / "1.dcm", archive / "2.dcm", archive / "deep" / "3.dcm"):
        file.write_bytes(DICOM)
    (study / "a_link_to_real").symlink_to(study / "real")  # sorted before the folder itself
    (study / "linked").symlink_to(archive)
    (study / "linked_again").symlink_to(archive)
    (study / "up").symlink_to(tmp_path)
    (archive / "deep" / "loop").symlink_to(archive)
    (study / "same.dcm").symlink_to(study / "real" / "1.dcm")
    (study / "other.dcm").symlink_to(archive / "2.dcm")
    counts: Counter[str] = Counter()
    inside = [file.relative_to(study).as_posix() for file in walk_folder(study, counts)]
    assert inside == ["linked/2.dcm", "linked/deep/3.dcm", "other.dcm", "real/1.dcm"]
    assert counts == {"link to a folder that is walked anyway": 4, "link to a file that is found anyway": 1}


def test_files_that_are_named_are_taken_whatever_they_are(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    given = [tmp_path / "notes.txt", tmp_path / "missing.dcm"]
    assert find_images(given).files == given


def test_a_folder_that_cannot_be_listed_is_counted(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root lists everything")
    (tmp_path / "closed").mkdir(mode=0)
    assert find_images(tmp_path).left_out == {"folder that cannot be listed": 1}
    with pytest.raises(OSError, match="Permission"):
        list(walk_folder(tmp_path / "closed"))


def test_find_named_matches_the_last_parts(tmp_path: Path) -> None:
    for name in ("x/NORMAL/1.jpeg", "x/PNEUMONIA/2.jpeg", "NORMAL/3.jpg", "NORMAL/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [f.relative_to(tmp_path).as_posix() for f in find_named(tmp_path, "NORMAL/*.jp*g")] == [
        "NORMAL/3.jpg",
        "x/NORMAL/1.jpeg",
    ]
