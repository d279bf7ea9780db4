"""The `medvlp` command: one file per verb, each loaded when it is called, so that `medvlp --help` answers at once."""

from __future__ import annotations

import typer

from medvlp import __version__
from medvlp.cli import data, recipes, report, retrieve
from medvlp.cli.compare import compare
from medvlp.cli.demo import demo, experiment
from medvlp.cli.error_handler import ErrorHandlingGroup
from medvlp.cli.evaluate import EvaluateCommand, evaluate
from medvlp.cli.finetune import finetune
from medvlp.cli.ground import ground
from medvlp.cli.inspect import inspect
from medvlp.cli.label import label
from medvlp.cli.pretrain import pretrain
from medvlp.cli.segment import segment

app = typer.Typer(
    name="medvlp",
    cls=ErrorHandlingGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    help="Radiographs and CT with their reports: read, learn, label, segment, retrieve, ground.",
)

app.command("demo")(demo)
app.command("experiment")(experiment)
app.command("compare")(compare)
app.add_typer(data.app, name="data")
app.add_typer(report.app, name="report")
app.command("pretrain")(pretrain)
app.command("label")(label)
app.command("evaluate", cls=EvaluateCommand)(evaluate)
app.command("finetune")(finetune)
app.command("segment")(segment)
app.add_typer(retrieve.app, name="retrieve")
app.command("ground")(ground)
app.command("inspect")(inspect)
app.add_typer(recipes.app, name="recipes")


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Radiographs and CT with their reports: read, learn, label, segment, retrieve, ground."""
