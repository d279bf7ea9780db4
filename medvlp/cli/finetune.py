"""`medvlp finetune`: a segmentation or classification head on a pretrained encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.pretrain import report_card, training_errors


def finetune(
    recipe: Annotated[
        str, typer.Argument(help="YAML file, or a name of `medvlp recipes`; docs/tasks.md explains each key.")
    ],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, such as training.epochs=5.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the model.")] = Path("runs/finetuned"),
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's card as JSON, and no bar.")] = False,
) -> None:
    """Train a head on an encoder of `medvlp pretrain`, or on one from scratch to compare with.

    Example: `medvlp finetune recipes/phantom_lungs.yaml encoder.model=runs/devide data.store=store --out runs/lungs`

    Ends with status 1 when the loss is no longer a number or the disk is full (the last checkpoint is kept), and with
    2 when the recipe is wrong.
    """
    with training_errors():
        from medvlp.training.finetune_recipe import FinetuneRecipe
        from medvlp.training.finetuning import finetune as run

        run(FinetuneRecipe.load(recipe, overrides or ()), out, resume=resume, progress=not as_json)
    report_card(out, as_json)
