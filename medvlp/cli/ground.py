"""`medvlp ground`: where in an image a phrase is."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.error_handler import UsageError, written_as


class Kind(StrEnum):
    """What a heat map shows."""

    PHRASE = "phrase"
    EVIDENCE = "evidence"


def ground(
    model: Annotated[Path, typer.Argument(help="Folder of `medvlp pretrain`.")],
    file: Annotated[Path, typer.Argument(help="DICOM, PNG, JPEG or TIFF.")],
    phrase: Annotated[str, typer.Argument(help="What to look for, such as 'left pleural effusion'.")],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            callback=written_as(".png"),
            help="PNG of the heat map over the image.",
        ),
    ] = Path("heat.png"),
    kind: Annotated[
        Kind, typer.Option(help="Parts that fit the phrase, or what the score of a finding stands on.")
    ] = Kind.PHRASE,
    force: Annotated[bool, typer.Option("--force", help="Take files that are no radiographs by their header.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print where the maximum is, as JSON.")] = False,
) -> None:
    """A heat map of a phrase over the image, at the size of the file.

    Example: `medvlp ground runs/devide patient.dcm "left pleural effusion" -o heat.png`
    """
    import numpy as np

    from medvlp.io.paths import refuse_path_conflicts
    from medvlp.tasks.admission import Admission
    from medvlp.tasks.ground import ground_files
    from medvlp.tasks.model import load
    from medvlp.viz import draw_heat, gray_to_rgb, write_png

    refuse_path_conflicts([file], [out], folders=False)
    loaded = load(model, device)
    admission = Admission.of(loaded.pretrained, force)
    (grounded,) = ground_files(loaded.pretrained, [file], phrase, kind=kind.value, admission=admission)
    image, heat = grounded.image, grounded.heat
    if image is None or heat is None:
        raise UsageError(f"{file}: {grounded.file.status}")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_png(out, draw_heat(gray_to_rgb(image.array), heat), loaded.notice)
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    peak = {"row": int(row), "column": int(column), "height": heat.shape[0], "width": heat.shape[1]}
    if as_json:
        answer = grounded.file.columns() | {"phrase": phrase, "kind": kind.value, "peak": peak}
        typer.echo(json.dumps({**answer, "remark": grounded.file.remark, "notice": loaded.notice}, indent=2))
        return
    typer.echo(f"{out}: hottest at row {row}, column {column} of {heat.shape[0]} x {heat.shape[1]}")
    if grounded.file.remark:
        typer.secho(f"remark: {grounded.file.remark}", fg="yellow")
    if loaded.notice:
        typer.secho(loaded.notice, fg="yellow")
