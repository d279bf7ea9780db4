"""`medvlp data index`: a data set's files and tables -> one validated table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from medvlp.cli.error_handler import written_as

_SHOWN = 5  # missing files that are named


class IndexCommand(TyperCommand):
    """The command, whose help names the data sources that are registered."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # typer's or click's classes, by version
        """Write the help; the registry is imported only here, so that other verbs start fast."""
        from medvlp.data import SOURCES

        self.epilog = f"Data sets: {', '.join(SOURCES)}."
        super().format_help(ctx, formatter)


def index(
    source: Annotated[str, typer.Argument(help="Name of the data set; `folder` for any folder or CSV of images.")],
    root: Annotated[Path, typer.Argument(help="Folder that it was unpacked in.")],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", callback=written_as(".parquet", ".csv"), help="Manifest to write, .parquet or .csv."
        ),
    ],
    option: Annotated[list[str] | None, typer.Option(help="Option of the source, as name=value; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Index a data set: one row an image, splits by patient, labels named by finding.

    Example: `medvlp data index mimic_cxr /data/mimic-cxr -o mimic.parquet --option labels=negbio`
    """
    from medvlp.data import index_data_set
    from medvlp.io.paths import refuse_path_conflicts

    pairs = [text.partition("=") for text in option or []]
    refuse_path_conflicts([root], [out], folders=False)
    _refuse_foreign(out)
    manifest = index_data_set(source, root, **{name: value for name, _, value in pairs})
    manifest.save(out)
    missing = manifest.missing_files() if root.is_file() else []  # of a folder, only what is there was indexed
    table = manifest.table
    counts = {
        "images": len(table),
        "studies": table["study_id"].nunique(),
        "patients": table["patient_id"].nunique(),
        "with_report": int((table["report"] != "").sum()),
        "splits": table["split"].value_counts().to_dict(),
        "labels": {finding: int((table[finding] == 1).sum()) for finding in manifest.labels},
        "masks": {name: int((table[f"mask_{name}"] != "").sum()) for name in manifest.masks},
        "generated": manifest.generated,
        "notes": [*manifest.notes, *missing],
    }
    if as_json:
        typer.echo(json.dumps(counts))
        raise typer.Exit(1 if missing else 0)
    typer.echo(
        "{images} images, {studies} studies, {patients} patients; {with_report} images with a report".format(**counts)
    )
    typer.echo("splits: " + ", ".join(f"{name} {count}" for name, count in counts["splits"].items()))
    if counts["labels"]:
        typer.echo("present: " + ", ".join(f"{finding} {count}" for finding, count in counts["labels"].items()))
    for note in [*manifest.notes, *missing[:_SHOWN]]:
        typer.echo(f"note: {note}")
    if len(missing) > _SHOWN:
        typer.echo(f"... and {len(missing) - _SHOWN} more files that do not exist")
    typer.echo(f"wrote {out}")
    raise typer.Exit(1 if missing else 0)


def _refuse_foreign(out: Path) -> None:
    """Raise where the output is there and was not written by this command: it may be a table of the data set."""
    from medvlp.io.paths import PathConflictError
    from medvlp.io.tables import TableError, read_table

    if out.exists():
        try:
            columns = set(read_table(out))
        except TableError:
            columns = set()
        if not {"image_id", "path", "generated"} <= columns:
            raise PathConflictError(f"{out} is there and is no manifest of this command; give the output another name")
