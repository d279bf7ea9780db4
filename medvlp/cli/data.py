"""`medvlp data`: make, index, prepare and check data. Each verb's work is imported when it is called."""

from __future__ import annotations

import typer

from medvlp.cli.data_check import check
from medvlp.cli.data_index import IndexCommand, index
from medvlp.cli.data_phantom import phantom
from medvlp.cli.data_prepare import prepare
from medvlp.cli.error_handler import ErrorHandlingGroup


class DataGroup(ErrorHandlingGroup):
    """The rooms below raise a plain ValueError for what a user can put right."""

    errors = (ValueError,)


app = typer.Typer(no_args_is_help=True, cls=DataGroup, help="Make, index, prepare and check data.")
app.command("phantom")(phantom)
app.command("index", cls=IndexCommand)(index)
app.command("prepare")(prepare)
app.command("check")(check)
