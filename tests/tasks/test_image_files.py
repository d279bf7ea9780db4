from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from medvlp.cli.image_input import output_names
from medvlp.data import Preprocess
from medvlp.io import Image
from medvlp.io.walk import IMAGE_SUFFIXES, find_images
from medvlp.tasks.admission import Admission
from medvlp.tasks.image_files import read_files

DICOM_START = bytes(128) + b"DICM"


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.png", "a/1.dcm", "a/notes.txt", "a/labels.csv", ".cache/3.png", "a/.hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a" / "no_suffix").write_bytes(DICOM_START)
    (tmp_path / "a" / "1.2.840.113619").write_bytes(DICOM_START)
    (tmp_path / "a" / "README").write_text("words")
    (tmp_path / "a" / "1.2.3").write_text("no DICOM")
    return tmp_path


def test_folders_are_walked_for_images_alone(folder):
    found = [str(p.relative_to(folder)) for p in find_images([folder]).files]
    assert found == ["a/1.2.840.113619", "a/1.dcm", "a/no_suffix", "b/2.png"]


def test_a_named_file_is_taken_whatever_it_is(folder):
    named = [folder / "a" / "notes.txt", folder / "missing.dcm", folder / "b"]
    assert find_images(named).files == [*named[:2], folder / "b" / "2.png"]


def test_files_come_in_order_with_pixels_or_a_reason(tmp_path):
    paths = []
    for i in range(30):
        paths.append(tmp_path / f"{i}.png")
        if i % 7 == 3:
            paths[-1].write_bytes(b"not a picture")
        else:
            Picture.fromarray(np.full((20, 30), i, np.uint8)).save(paths[-1])
    read = list(read_files([*paths, tmp_path / "none.png"], Preprocess(size=32), Admission()))
    assert [Path(r.path) for r in read] == [*paths, tmp_path / "none.png"]
    assert [i for i, r in enumerate(read) if r.status != "ok"] == [3, 10, 17, 24, 30]
    assert all((r.pixels is None) == (r.status != "ok") for r in read)
    assert [int(r.pixels[16, 16]) for r in read[:3]] == [0, 1, 2]
    assert all(r.image is None for r in read)


def test_a_truncated_picture_is_a_reason(tmp_path):
    Picture.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    (read,) = read_files([tmp_path / "cut.png"], Preprocess(size=32), Admission())
    assert "damaged or cut short" in read.status


def test_images_in_memory_and_volumes():
    flat, volume = np.ones((4, 5), np.float32), np.ones((2, 4, 5), np.float32)
    read = list(read_files([Image(flat), Image(volume)], Preprocess(size=16), Admission(), keep_image=True))
    assert [r.status for r in read] == ["ok", "a volume; this model reads radiographs"]
    assert read[0].image.array.shape == (4, 5)


def names(*files):
    return [str(n) for n in output_names([Path(f) for f in files], IMAGE_SUFFIXES)]


def test_output_names_repeat_the_tree_and_never_collide():
    assert names("/x/a.dcm") == ["a"]
    assert names("/x/p1/a.dcm", "/x/p2/a.dcm") == ["p1/a", "p2/a"]
    assert names("/x/a.dcm", "/x/a.png", "/x/b.png") == ["a.dcm", "a.png", "b"]
    assert names("/x/1.2.840.1", "/x/1.2.840.2") == ["1.2.840.1", "1.2.840.2"]
