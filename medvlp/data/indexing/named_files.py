"""The files below a folder by their names: data sets are unpacked in many ways, and tables give names without folders.

Two files of one name are never taken for each other: the one in the release's own folder is taken, else both are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from medvlp.errors import MedVLPError
from medvlp.io.tables import posix_path
from medvlp.io.walk import find_images, walk_folder


class AmbiguousFileError(MedVLPError, ValueError):
    """Two files have the name that a table gives; the message has both paths."""


class NamedFiles(Mapping[str, Path]):
    """Name -> file; looking up a name that two files have raises.

    Args:
        root: the folder whose files these are.
        files: name -> all files of that name.
        prefer: patterns of folders, from the root, whose files go before those of the same name elsewhere.
    """

    def __init__(self, root: Path, files: Mapping[str, Sequence[Path]], prefer: Sequence[str] = ()) -> None:
        self._root, self._files, self._prefer = root, files, prefer

    def __getitem__(self, name: str) -> Path:
        """The file of a name.

        Raises:
            KeyError: there is none.
            AmbiguousFileError: there are two, and no one of them lies in a preferred folder.
        """
        files = self._files[name]
        if len(files) > 1:
            own = [file for file in files if any(self._inside(file, pattern) for pattern in self._prefer)]
            if len(own) != 1:
                first, second = (own or files)[:2]
                raise AmbiguousFileError(
                    f"{name!r} is the name of two files, {first} and {second}: move one of them out of {self._root}"
                )
            return own[0]
        return files[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def _inside(self, file: Path, pattern: str) -> bool:
        folder = PurePath(file.parent.relative_to(self._root)) if file.is_relative_to(self._root) else file.parent
        return len(folder.parts) == len(PurePath(pattern).parts) and (
            folder.match(pattern) or folder == PurePath(pattern)
        )


def files_by_name(
    root: Path, endings: Sequence[str], prefer: Sequence[str] = (), without_ending: bool = False
) -> NamedFiles:
    """All files of some endings below a folder, by their name.

    Args:
        root: the folder; links to folders are followed once.
        endings: such as `.png`, in small letters.
        prefer: patterns of folders, from `root`, where the release has its files: they win over copies elsewhere.
        without_ending: names are without their ending.

    Examples:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for folder in ("images", "reduced"):
        ...     (root / folder).mkdir()
        ...     (root / folder / "1.png").touch()
        >>> files_by_name(root, [".png"], prefer=["images"])["1.png"].parent.name
        'images'
    """
    named: dict[str, list[Path]] = {}
    for file in walk_folder(root):
        if file.suffix.lower() in endings:
            named.setdefault(file.stem if without_ending else file.name, []).append(file)
    return NamedFiles(root, named, prefer)


class ImagesOfCells:
    """The images that the cells of a user's table name.

    Args:
        beside: the table's folder, from which relative paths count first.
        root: then this folder, and images anywhere below it whose name or path, with or without ending, is the cell.
    """

    def __init__(self, beside: Path, root: Path) -> None:
        self._beside, self._root = beside, root
        self._named: NamedFiles | None = None

    def find(self, cell: str) -> Path | None:
        """The file or folder that a cell names, or None.

        Raises:
            AmbiguousFileError: two files have the name.
        """
        name = posix_path(cell.strip())
        if not name:
            return None
        for folder in (self._beside, self._root):
            if (folder / name).exists():
                return folder / name
        if self._named is None:
            named: dict[str, list[Path]] = {}
            for file in find_images(self._root).files:
                inside = file.relative_to(self._root).as_posix() if file.is_relative_to(self._root) else file.name
                for key in {inside, file.name, _without_ending(inside), _without_ending(file.name)}:
                    named.setdefault(key, []).append(file)
            self._named = NamedFiles(self._root, named)
        return self._named.get(name) or self._named.get(name.split("/")[-1])

    def weight(self, cell: str) -> float:
        """How much a cell speaks for its column as that of the images: a folder's name may also be a patient's."""
        try:
            found = self.find(cell)
        except AmbiguousFileError:
            return 1.0
        return 0.0 if found is None else 1.0 if found.is_file() else 0.6


def _without_ending(name: str) -> str:
    return re.sub(r"\.(nii\.gz|[A-Za-z][A-Za-z0-9]{0,4})$", "", name)
