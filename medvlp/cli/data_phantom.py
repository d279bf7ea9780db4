"""`medvlp data phantom`: write an archive of generated studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.error_handler import written_as
from medvlp.progress import progress_bar


def phantom(
    out: Annotated[
        Path, typer.Argument(help="Folder to write; empty, new, or an older phantom with the same settings.")
    ],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same archive.")] = 0,
    size: Annotated[int, typer.Option(min=64, max=4096, help="Rows and columns of the images.")] = 256,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one for each core unless given.")] = None,
    studies: Annotated[tuple[int, int], typer.Option(help="Fewest and most studies a patient.")] = (1, 3),
    split: Annotated[
        tuple[float, float, float], typer.Option(help="Fractions of train, validate and test, by patient.")
    ] = (
        0.7,
        0.1,
        0.2,
    ),
    rle: Annotated[float, typer.Option(min=0, max=1, help="Fraction of RLE compressed files.")] = 0.0,
    severity: Annotated[
        tuple[float, float], typer.Option(help="Least and greatest severity of a lesion, within 0 and 1.")
    ] = (0.0, 1.0),
    prevalence: Annotated[float, typer.Option(help="Factor on the rate of every finding.")] = 1.0,
    sheet: Annotated[
        Path | None,
        typer.Option(
            callback=written_as(".png"),
            help="Also draw a page with an example of each finding.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Write generated chest radiographs with reports and ground truth, in the layout of MIMIC-CXR.

    Example: `medvlp data phantom phantom --patients 500 --size 256 --sheet phantom.png`
    """
    from medvlp.phantom import generate, write_contact_sheet

    with progress_bar("patients", quiet) as show:
        generate(
            out,
            patients,
            seed,
            size,
            workers=workers,
            studies_per_patient=studies,
            split=split,
            rle=rle,
            severity=severity,
            prevalence=prevalence,
            progress=lambda done: show(done, patients),
        )
    typer.echo(f"{patients} patients in {out}. Generated data: not for clinical use.")
    if sheet:
        write_contact_sheet(sheet, seed)
        typer.echo(f"Examples of each finding: {sheet}")
