"""`medvlp data phantom`: write an archive of generated studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write; empty or new.")],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same archive.")] = 0,
    size: Annotated[int, typer.Option(min=64, max=4096, help="Rows and columns of the pictures.")] = 256,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one for each core unless given.")] = None,
    studies: Annotated[tuple[int, int], typer.Option(help="Fewest and most studies a patient.")] = (1, 3),
    rle: Annotated[float, typer.Option(min=0, max=1, help="Share of RLE compressed files.")] = 0.0,
    sheet: Annotated[Path | None, typer.Option(help="Also draw a page with an example of each finding.")] = None,
) -> None:
    """Write generated chest radiographs with reports and ground truth, in the layout of MIMIC-CXR.

    Example: `medvlp data phantom phantom --patients 500 --size 256 --sheet phantom.png`
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from medvlp.data.phantom import generate

    columns = (TextColumn("patients"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("patients", total=patients)
        try:
            generate(
                out,
                patients,
                seed,
                size,
                workers=workers,
                studies_per_patient=studies,
                rle=rle,
                progress=lambda done: bar.advance(task, done),
            )
        except (ValueError, FileExistsError) as error:
            raise typer.BadParameter(str(error)) from error
    typer.echo(f"{patients} patients in {out}. Generated data: not for clinical use.")
    if sheet:
        from medvlp.data.phantom.sheet import write_sheet

        write_sheet(sheet, seed)
        typer.echo(f"Examples of each finding: {sheet}")
