"""`medvlp ground`: where in an image a phrase is."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.error_handler import written_as


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
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print where the maximum is, as JSON.")] = False,
) -> None:
    """A heat map of a phrase over the image, at the size of the file.

    Example: `medvlp ground runs/devide patient.dcm "left pleural effusion" -o heat.png`
    """
    import numpy as np

    from medvlp.io import read_image
    from medvlp.io.paths import refuse_path_conflicts
    from medvlp.tasks.model import load
    from medvlp.viz import draw_heat, gray_to_rgb, write_png

    refuse_path_conflicts([file], [out], folders=False)
    image = read_image(file)
    loaded = load(model, device)
    heat = loaded.ground(image, phrase, kind.value)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_png(out, draw_heat(gray_to_rgb(image.array), heat), loaded.notice)
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    place = {"row": int(row), "column": int(column), "height": heat.shape[0], "width": heat.shape[1]}
    if as_json:
        typer.echo(
            json.dumps(
                {"path": str(file), "phrase": phrase, "kind": kind.value, "peak": place, "notice": loaded.notice},
                indent=2,
            )
        )
        return
    typer.echo(f"{out}: hottest at row {row}, column {column} of {heat.shape[0]} x {heat.shape[1]}")
    if loaded.notice:
        typer.secho(loaded.notice, fg="yellow")
