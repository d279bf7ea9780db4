"""`medvlp label`: files -> a table of probabilities, without any annotation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.error_handler import written_as
from medvlp.cli.image_input import end_with_status, images_below
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
    force: Annotated[bool, typer.Option("--force", help="Take files that are no radiographs by their header.")] = False,
    frames: Annotated[str, typer.Option(help="Of files with several frames: first, or all, a row each.")] = "first",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON instead of CSV.")] = False,
) -> None:
    """Probabilities of findings: one row a file, with its path, modality and view, a column a finding, status, remark.

    Example: `medvlp label runs/devide patient.dcm more_images/ -o labels.csv`

    A file that cannot be read or is refused (a CT, a knee) gets a row with the reason, never stops the others, and
    makes the exit status 1. `remark` says what else to know: another view, one frame of six, a picture unlike the
    training images.
    """
    from medvlp.cli.image_input import finding_list
    from medvlp.io.paths import refuse_path_conflicts
    from medvlp.tasks.model import load

    refuse_path_conflicts(files, [out], folders=False)
    ids = finding_list(findings)
    sources = images_below(files)
    loaded = load(model, device)
    with progress_bar("label") as progress:
        table = loaded.label(
            sources,
            ids,
            force=force,
            frames=frames,  # type: ignore[arg-type]
            batch_size=batch_size,
            progress=progress,
        )
    if as_json:
        typer.echo(table.to_json(orient="records", indent=2, double_precision=4))
    elif out is None:
        typer.echo(table.to_csv(index=False, float_format="%.4f"), nl=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(out, index=False, float_format="%.4f")
    end_with_status(table, "labeled")
