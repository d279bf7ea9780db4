"""`medvlp retrieve`: reports for an image, images for a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvlp.progress import progress_bar

if TYPE_CHECKING:
    from medvlp.tasks.report_index import ReportIndex

app = typer.Typer(no_args_is_help=True, help="Find reports for an image, and images for a text.")


@app.command()
def build(
    model: Annotated[Path, typer.Argument(help="Folder of `medvlp pretrain`.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the index.")],
    store: Annotated[Path | None, typer.Option(help="Index the reports and images of a prepared store.")] = None,
    table: Annotated[Path | None, typer.Option(help="Or index a CSV with a column `report`.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split of the store.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the index's card as JSON.")] = False,
) -> None:
    """Make an index of reports (and of the images of a store).

    Example: `medvlp retrieve build runs/devide --store store --split train -o index`

    Rows of a table without text are left out, counted, and make the exit status 1.
    """
    if (store is None) == (table is None):
        raise typer.BadParameter("give --store or --table, one of the two")
    skipped = 0
    from medvlp.data.store import Store
    from medvlp.io.paths import refuse_path_conflicts
    from medvlp.io.tables import read_table
    from medvlp.tasks.build_index import index_store, index_table
    from medvlp.tasks.model import load

    refuse_path_conflicts([path for path in (model, store, table) if path is not None], [out])
    loaded = load(model, device).pretrained
    with progress_bar("index", quiet=as_json) as progress:
        if store is not None:
            index: ReportIndex = index_store(loaded, model, Store.open(store), split=split, progress=progress)
        else:
            assert table is not None
            rows = read_table(table, path_columns=["path"])
            index, skipped = index_table(loaded, model, rows, progress)
    index.save(out)
    if as_json:
        typer.echo(json.dumps({**index.card, "skipped": skipped}, indent=2))
    else:
        typer.echo(
            f"{out}: {index.card['reports']} reports, {index.card['images']} images; {skipped} rows without text"
        )
    raise typer.Exit(1 if skipped else 0)


@app.command()
def query(
    index: Annotated[Path, typer.Argument(help="Folder of `medvlp retrieve build`.")],
    image: Annotated[Path | None, typer.Option(help="Find reports for this file.")] = None,
    text: Annotated[str | None, typer.Option(help="Find images for these words.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Take an image that is no radiograph by its header.")] = False,
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 5,
    model: Annotated[Path | None, typer.Option(help="The model, where it has moved since the index was made.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """The nearest reports for an image, or images for a text.

    Example: `medvlp retrieve query index --image patient.dcm`, or `--text "large left pneumothorax"` for images
    """
    if (image is None) == (text is None):
        raise typer.BadParameter("give --image or --text, one of the two")
    from medvlp.tasks.model import load
    from medvlp.tasks.report_index import ReportIndex

    opened = ReportIndex.load(index)
    loaded = load(model or opened.card["model"], device)
    hits = loaded.retrieve(opened, image=image, text=text, k=k, force=force)
    notice = opened.card["notice"] or loaded.notice
    if as_json:
        typer.echo(json.dumps({"notice": notice, "hits": json.loads(hits.to_json(orient="records"))}, indent=2))
        return
    for _, hit in hits.iterrows():
        typer.secho(f"{hit['rank']}. similarity {hit['similarity']:.3f}", bold=True)
        for name in hits.columns.drop(["rank", "similarity"]):
            typer.echo(f"   {name}: {hit[name]}")
    if notice:
        typer.secho(notice, fg="yellow")
