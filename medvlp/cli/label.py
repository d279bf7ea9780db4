"""`medvlp label`: files -> a table of probabilities, without any annotation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.error_handler import written_as
from medvlp.cli.image_input import finish, images_below
from medvlp.progress import progress_bar


def label(
    model: Annotated[Path, typer.Argument(help="Folder of `medvlp pretrain`.")],
    files: Annotated[list[Path], typer.Argument(help="DICOM, PNG, JPEG or TIFF; folders are walked.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            callback=written_as(".csv"),
            help="CSV file; standard output unless given.",
        ),
    ] = None,
    findings: Annotated[
        str | None, typer.Option(help="Ids with commas, or a label space; those of the training unless given.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in one pass.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON instead of CSV.")] = False,
) -> None:
    """Zero-shot probabilities of findings: one row a file, with path, one column a finding, and status.

    Example: `medvlp label runs/devide patient.dcm more_images/ -o labels.csv`

    A file that cannot be read gets a row with the reason, never stops the others, and makes the exit status 1.
    """
    from medvlp.cli.finding_list import finding_list
    from medvlp.io.paths import refuse_path_conflicts
    from medvlp.tasks.model import load

    refuse_path_conflicts(files, [out], folders=False)
    asked = finding_list(findings)
    sources = images_below(files)
    loaded = load(model, device)
    with progress_bar("label") as progress:
        table = loaded.label(sources, asked, batch_size=batch_size, progress=progress)
    if as_json:
        typer.echo(table.to_json(orient="records", indent=2))
    elif out is None:
        typer.echo(table.to_csv(index=False), nl=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(out, index=False)
    finish(table, "labelled")
