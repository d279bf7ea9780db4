"""`medvlp data prepare`: manifests -> a store, in parallel, with a progress bar; run it again after an interruption."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.data_errors import data_errors
from medvlp.cli.progress_bar import progress_bar


def prepare(
    manifests: Annotated[list[Path], typer.Argument(help="One or several manifests; they become one store.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the store.")],
    size: Annotated[list[int] | None, typer.Option(help="Pixels of the square; repeat for several sizes.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; one for each core unless given.")] = None,
    part: Annotated[str, typer.Option(help="i/n: this machine's part of the work, on a shared disk.")] = "1/1",
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Decode, reduce and store every image once, and parse every report; training then reads memory maps.

    Example: `medvlp data prepare mimic.parquet -o store --size 224 --workers 8`

    Files that cannot be read go to quarantine.csv with the reason, and the command ends with status 1. After a crash
    or a kill the same command goes on where it stopped.
    """
    from medvlp.data.manifest import Manifest
    from medvlp.data.preparation import prepare_part
    from medvlp.data.preprocess import Preprocess
    from medvlp.data.store import Store

    numbers = re.fullmatch(r"(\d+)/(\d+)", part)
    if not numbers:
        raise typer.BadParameter(f"{part!r} is not i/n, such as 2/8", param_hint="--part")
    with data_errors():
        manifest = Manifest.concat([Manifest.load(path) for path in manifests])
        sizes = [Preprocess(size=pixels) for pixels in size or [224]]
        with _bars(quiet=as_json) as show:
            missing = prepare_part(
                manifest, out, int(numbers[1]), int(numbers[2]), sizes, workers=workers, progress=show
            )
    if missing:
        typer.echo(
            json.dumps({"missing_shards": missing}) if as_json else f"{missing} shards of other parts still to come"
        )
        return
    store = Store.open(out)
    counts = {"images": len(store), "reports": len(store.reports), "quarantined": store.quarantined}
    if as_json:
        typer.echo(json.dumps({**counts, "hash": store.hash, "generated": store.generated}))
    else:
        typer.echo("{images} images and {reports} reports; {quarantined} in quarantine".format(**counts))
        if store.quarantined:
            typer.echo(f"reasons: {out / 'quarantine.csv'}")
    raise typer.Exit(1 if store.quarantined else 0)


@contextmanager
def _bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage; the stages come one after the other."""
    with ExitStack() as stage:
        shown: dict[str, Callable[[int, int], None]] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in shown:
                stage.close()
                shown[name] = stage.enter_context(progress_bar(name, quiet))
            shown[name](done, total)

        yield show
