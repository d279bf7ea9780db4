"""The walker of folders: which files below a folder are images, by their content, and what was left out and why.

Links to folders are followed, each folder is entered once, and a link that leads back above the start is not taken.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    ".dcm .dicom .ima .png .jpg .jpeg .tif .tiff .bmp .webp .jp2 .nii .hdr .nrrd .nhdr .mha .mhd".split()  # noqa: SIM905
)
_HEADER_BYTES = 1024
_DICOMDIR = b"1.2.840.10008.1.3.10"  # Media Storage Directory (PS3.4 table B.5-1)
_DIMENSIONS = (b"\x02", b"\x03", b"\x04", b"\x05")
_STARTS = {
    b"\x89PNG\r\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"\0\0\0\x0cjP": "jpeg2000",
    b"\xff\x4f\xff\x51": "jpeg2000",
    b"NRRD000": "nrrd",
    b"ObjectType": "metaimage",
}


@dataclass
class FoundFiles:
    """What a walk found.

    Attributes:
        files: images, in the order of the folders given, sorted inside each.
        left_out: reason -> how many files or folders were left out for it.
    """

    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.most_common())
        return f"{len(self.files):,} files" + (f"; left out: {reasons}" if reasons else "")


def find_images(paths: str | Path | Iterable[str | Path]) -> FoundFiles:
    """Files as given, folders walked.

    A file that is named is taken whatever it is, a missing one too, so that the answer has a row that says so. Inside a
    folder images are taken: by their content whatever their name (a UID, `IMG.0001`, `scan.img`), and files named as
    images though they hold something else, so that the reader says what is wrong with them.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "IMG.0001").write_bytes(bytes(128) + b"DICM"), (folder / "notes.txt").write_text("x")
        >>> found = find_images(folder)
        >>> [file.name for file in found.files], dict(found.left_out)
        (['IMG.0001'], {'not an image (.txt)': 1})
    """
    found = FoundFiles()
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        if not Path(path).is_dir():
            found.files.append(Path(path))
            continue
        for file in walk_folder(path, found.left_out):
            reason = _not_an_image(file)
            if reason:
                found.left_out[reason] += 1
            else:
                found.files.append(file)
    return found


def find_named(folder: str | Path, pattern: str) -> list[Path]:
    """Files below `folder` whose last path parts match a glob `pattern` (`captions.txt`, `NORMAL/*.jpeg`), sorted."""
    return [file for file in walk_folder(folder) if file.match(pattern)]


def walk_folder(folder: str | Path, left_out: Counter[str] | None = None) -> Iterator[Path]:
    """Every file below a folder, sorted by path; hidden files and folders (`.git`, `.DS_Store`, `._x.dcm`) left out.

    Args:
        folder: where to begin.
        left_out: reason -> count, added to.

    Raises:
        OSError: `folder` itself cannot be listed.
    """
    counts = Counter[str]() if left_out is None else left_out
    top = Path(folder)
    seen = {_identity(above) for above in (top.resolve(), *top.resolve().parents)}
    files, links = _split(_list(top, top, counts, seen))
    # Real folders first: a file is found by its own path where it lies below `folder`, else by the link's.
    real = {file for file in files if not file.is_symlink()}
    while links:
        link = links.pop(0)
        if _identity(link) in seen:
            counts["link to a folder that is walked anyway"] += 1
            continue
        seen.add(_identity(link))
        more_files, more_links = _split(_list(link, top, counts, seen))
        files += more_files
        links += more_links
    targets = {file.resolve() for file in real} if any(file.is_symlink() for file in files) else set()
    for file in sorted(files):
        if file.is_symlink() and not file.exists():
            counts["broken link"] += 1
        elif file.is_symlink() and file.resolve() in targets:
            counts["link to a file that is found anyway"] += 1
        elif file.is_file():
            yield file


def image_kind(path: Path) -> str:
    """What a file's first bytes say it is: `dicom`, `dicomdir`, `nifti`, `png`, ...; "" for anything else.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        start = stream.read(_HEADER_BYTES)
    return kind_of(start)


def kind_of(start: bytes) -> str:
    """`image_kind` of the first bytes of a file, a kilobyte or more."""
    if start[:2] == b"\x1f\x8b":
        try:
            start = zlib.decompressobj(31).decompress(start, _HEADER_BYTES)
        except zlib.error:
            return ""
    if start[128:132] == b"DICM":
        return "dicomdir" if _DICOMDIR in start[:_HEADER_BYTES] else "dicom"
    if (start[344:348] == b"ni1\0" and _is_nifti(start)) or start[4:7] == b"ni2":
        return "nifti pair"
    if _is_nifti(start):
        return "nifti"
    if start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and start[40:42].strip(b"\0") in _DIMENSIONS:
        return "analyze"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if start[:2] == b"BM" and start[6:10] == bytes(4):
        return "bmp"
    if start[:2] in (b"P5", b"P6") and start[2:3].isspace() and start[3:4].isdigit():
        return "ppm"
    for mark, kind in _STARTS.items():
        if start.startswith(mark):
            return kind
    return "dicom" if _begins_with_element(start) else ""


def _list(folder: Path, top: Path, counts: Counter[str], seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Files of a folder and of the real folders below it, and links to folders, which are not entered."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        if folder == top:
            raise
        counts["folder that cannot be listed"] += 1
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            counts["hidden folder" if entry.is_dir(follow_symlinks=False) else "hidden file"] += 1
        elif entry.is_dir(follow_symlinks=False):
            if _identity(path) in seen:
                continue  # walked by way of a link
            seen.add(_identity(path))
            yield from _list(path, top, counts, seen)
        else:
            yield path


def _split(entries: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Files, and links to folders."""
    files, links = list[Path](), list[Path]()
    for entry in entries:
        (links if entry.is_symlink() and entry.is_dir() else files).append(entry)
    return files, links


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _not_an_image(file: Path) -> str:
    """Why a file is left out; "" where it is an image, or named as one."""
    name = file.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix in IMAGE_SUFFIXES:
        return ""
    try:
        kind = image_kind(file)
        if kind:
            return "DICOMDIR" if kind == "dicomdir" else ""
        if file.stat().st_size == 0 and (suffix[1:].isdigit() or not suffix):
            return ""  # perhaps a slice whose copy failed: the reader says so
    except OSError:
        return ""  # the reader says why it cannot be opened
    return f"not an image ({suffix or 'no suffix'})"


def _is_nifti(start: bytes) -> bool:
    """Header size and magic of NIfTI-1 and NIfTI-2, single files and headers of a pair."""
    first = start[344:347] in (b"n+1", b"ni1") and start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c")
    return first or start[4:7] in (b"n+2", b"ni2")


def _begins_with_element(start: bytes) -> bool:
    """A first element of group 0002 or 0008 with a plausible length: DICOM without preamble."""
    if len(start) < 12 or start[:2] not in (b"\x02\0", b"\x08\0"):
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return start[3] == 0 and (explicit or int.from_bytes(start[4:8], "little") <= 1 << 10)
