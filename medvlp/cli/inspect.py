"""`medvlp inspect`: what a file or a folder is, what was done to its values, and what it looks like."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvlp.cli.error_handler import written_as
from medvlp.progress import progress_bar

if TYPE_CHECKING:
    from medvlp.io.inspection import FileInfo


def inspect(
    path: Annotated[Path, typer.Argument(help="A DICOM, NIfTI or picture file, or a folder of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
    thumbnail: Annotated[
        Path | None,
        typer.Option(
            callback=written_as(".png"),
            help="Write a small PNG; of a folder, up to 16 images.",
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            callback=written_as(".csv"),
            help="Write one CSV row a file of a folder, with its path.",
        ),
    ] = None,
) -> None:
    """Say what a file is and each step that was done to its values. Prints no name, date or identifier.

    Example: `medvlp inspect study/ --thumbnail look.png`

    File names can be identifying, so they are not printed; `--table` writes them to a file of yours.
    The exit status is 1 when a file could not be read.
    """
    from medvlp.io.inspection import inspect_path

    with progress_bar("inspect", quiet=not path.is_dir()) as progress:
        found = inspect_path(path, progress)
    if thumbnail is not None:
        _write_thumbnail(found, thumbnail)
    if table is not None:
        _write_table(found, table)
    if as_json:
        import json

        typer.echo(json.dumps(_facts(found), indent=2))
    else:
        _print(found)
    raise typer.Exit(1 if found.reason or any(part.reason for part in found.parts) else 0)


def _facts(found: FileInfo) -> dict[str, object]:
    return found.facts | ({"contents": [part.facts for part in found.parts]} if found.parts else {})


def _print(found: FileInfo) -> None:
    for name, value in found.facts.items():
        if name != "steps" and value not in (None, "", []):
            joint = ", " if name == "slices of volumes" else " x "
            typer.echo(f"{name:18} {joint.join(map(str, value)) if isinstance(value, list) else value}")
    for number, step in enumerate(found.facts.get("steps", []), 1):
        typer.echo(f"{'step ' + str(number):18} {step}")
    kinds = Counter(_kind(part) for part in found.parts if not part.reason)
    reasons = Counter(part.reason for part in found.parts if part.reason)
    for label, counts in (("", kinds), ("refused: ", reasons)):
        for what, count in counts.most_common():
            typer.echo(f"{count:8,}  {label}{what}")


def _kind(part: FileInfo) -> str:
    facts = part.facts
    return ", ".join(str(facts[key]) for key in ("kind", "object", "transfer syntax", "modality") if facts.get(key))


def _write_thumbnail(found: FileInfo, path: Path) -> None:
    from PIL import Image as Picture

    from medvlp.io.thumbnails import contact_sheet
    from medvlp.io.thumbnails import thumbnail as small

    images = [part.image for part in [found, *found.parts] if part.image is not None]
    if not images:
        typer.secho("nothing could be read, so there is no thumbnail", err=True, fg="red")
        return
    pictures = [small(image, 512 if len(images) == 1 else 192) for image in images[:16]]
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(contact_sheet(pictures)).save(path)


def _write_table(found: FileInfo, path: Path) -> None:
    import csv

    rows = [{"path": str(part.path), **part.facts} for part in found.parts or [found]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
