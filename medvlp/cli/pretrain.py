"""`medvlp pretrain`: a recipe and a prepared store become a model folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.error_handler import exit_status


def pretrain(
    recipe: Annotated[
        str, typer.Argument(help="YAML file, or a name of `medvlp recipes`; docs/recipes.md explains each key.")
    ],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, such as training.epochs=5.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the model.")] = Path("runs/pretrain"),
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's card as JSON, and no bar.")] = False,
) -> None:
    """Pretrain a method on a store that `medvlp data prepare` wrote.

    Example: `medvlp pretrain recipes/phantom_devide.yaml data.store=runs/store training.epochs=5 --out runs/devide`

    Ends with status 1 when the loss is no longer a number or the disk is full (the last checkpoint is kept), and with
    2 when the recipe is wrong.
    """
    with training_errors():
        from medvlp.training.pretraining import pretrain as run
        from medvlp.training.recipe import Recipe

        run(Recipe.load(recipe, overrides or ()), out, resume=resume, progress=not as_json)
    report_card(out, as_json)


@contextmanager
def training_errors() -> Iterator[None]:
    """End with the status of a run that failed; shared with `medvlp finetune`."""
    import logging

    from medvlp.io.atomic_write import DiskFullError
    from medvlp.training.loss_buffer import DivergedError

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it says what the recipe says already
    try:
        with exit_status(1, DivergedError):
            yield
    except DiskFullError as error:
        typer.secho(f"Error: {error}. Make room, then add --resume.", err=True, fg="red")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.secho("Interrupted; the same command with --resume continues at the last checkpoint.", err=True)
        raise typer.Exit(1) from None


def report_card(out: Path, as_json: bool) -> None:
    """Print the card of a finished run."""
    if int(os.environ.get("LOCAL_RANK", 0)):
        return  # with several devices, the first process speaks
    card = json.loads((out / "card.json").read_text())
    if as_json:
        typer.echo(json.dumps(card, indent=2))
        return
    values = "".join(
        f", validation {metric} {card[metric]:.3f}" for metric in ("auroc", "dice", "loss") if metric in card
    )
    typer.echo(f"{out}: {card.get('method') or card['task']} at step {card['step']}{values}")
    if card["notice"]:
        typer.secho(card["notice"], fg="yellow")
