"""`medvlp finetune`: a segmentation head on a pretrained encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.user_errors import told, user_errors


def finetune(
    recipe: Annotated[Path, typer.Argument(help="YAML file; docs/tasks.md explains each key.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, such as training.epochs=5.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the model.")] = Path("runs/segmentation"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's card as JSON.")] = False,
) -> None:
    """Train a segmentation decoder on an encoder of `medvlp pretrain`, or on one from scratch to compare with.

    Example: `medvlp finetune recipes/phantom_lungs.yaml encoder.model=runs/devide data.store=store --out runs/lungs`

    Ends with status 1 when the disk is full (the best model so far is kept), and with 2 when the recipe is wrong.
    """
    with user_errors():
        from medvlp.io.atomic_write import DiskFullError
        from medvlp.tasks.finetune import finetune as run
        from medvlp.tasks.finetune_recipe import FinetuneRecipe

        with told(DiskFullError, status=1):
            run(FinetuneRecipe.load(recipe, overrides or ()), out, shows=not as_json)
    card = json.loads((out / "card.json").read_text())
    if as_json:
        typer.echo(json.dumps(card, indent=2))
    else:
        typer.echo(f"{out}: validation Dice {card['validation_dice']:.3f} at step {card['step']}")
        if card["notice"]:
            typer.secho(card["notice"], fg="yellow")
