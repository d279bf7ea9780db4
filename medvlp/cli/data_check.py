"""`medvlp data check`: what a store has, and what may be wrong with it, on the terminal and as a page of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvlp.cli.error_handler import written_as
from medvlp.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np

    from medvlp.data.data_issues import DataIssue
    from medvlp.data.store import Store
    from medvlp.viz.page import Page

_SHOWN = 12  # pictures of one issue
_SAMPLES = 24


def check(
    store: Annotated[Path, typer.Argument(help="Folder of `medvlp data prepare`.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            callback=written_as(".html", ".htm"),
            help="Page to write, .html.",
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            callback=written_as(".csv"),
            help="CSV of the images in question, by their ids.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the issues as JSON.")] = False,
) -> None:
    """Look for leaks between splits, copies, empty and inverted images, and labels that contradict their report.

    Example: `medvlp data check store -o check.html --table issues.csv`

    Ends with status 1 where there is something to look at. The page shows pictures without any id or report text.
    """
    from medvlp.data import find_data_issues
    from medvlp.data.store import Store
    from medvlp.io.paths import refuse_path_conflicts

    refuse_path_conflicts([store], [out, table])
    opened = Store.open(store)
    with progress_bar("images", quiet=as_json) as progress:
        found = find_data_issues(opened, progress)
    if out:
        _page(opened, found).write(out)
    if table:
        _write_table(opened, found, table)
    if as_json:
        typer.echo(json.dumps([{"kind": c.kind, "message": c.message, "rows": c.rows.tolist()} for c in found]))
    else:
        for issue in found:
            typer.echo(f"{issue.kind}: {issue.message}")
        typer.echo(f"{len(opened)} images; " + (f"{len(found)} issues" if found else "no issues found"))
        if out:
            typer.echo(f"wrote {out}")
    raise typer.Exit(1 if found else 0)


def _page(store: Store, found: list[DataIssue]) -> Page:
    import numpy as np

    from medvlp.data.data_issues import disagreement_table
    from medvlp.viz.page import Page

    data = store.table
    notice = "Generated data. Not for clinical use." if store.generated else None
    page = Page("What this data set has", f"{len(store)} images, {data['patient_id'].nunique()} patients", notice)
    page.section("Counts")
    counts = data.assign(source=data["source"].replace("", "unnamed")).groupby(["source", "split"])
    page.table(
        ["source", "split", "images", "patients", "with report"],
        [
            [source, split, len(part), part["patient_id"].nunique(), int((part["report"] >= 0).sum())]
            for (source, split), part in counts
        ],
    )
    if store.labels:
        page.section("Labels")
        page.table(
            ["finding", "present", "absent", "uncertain", "unmentioned", "both definite", "contradict"],
            [
                [
                    row.finding,
                    *(int((data[row.finding] == state).sum()) for state in (1, 0, 2, -1)),
                    row.both,
                    row.label_present + row.label_absent,
                ]
                for row in disagreement_table(store).itertuples()
            ],
        )
    page.section("To look at")
    if not found:
        page.text("Nothing was found.")
    for issue in found:
        page.text(issue.message)
        if len(issue.rows):
            page.gallery(_pictures(store, issue.rows[:_SHOWN].ravel()[: 2 * _SHOWN]))
    page.section("Samples")
    rows = np.random.default_rng(0).permutation(len(store))[:_SAMPLES]
    page.gallery(_pictures(store, rows), "Drawn by chance; below each its row in the store.")
    return page


def _pictures(store: Store, rows: np.ndarray) -> list:
    from medvlp.viz.page import GalleryImage

    pictures = []
    for row in rows.tolist():
        pixels = store.preprocess.picture(store.images([row])[0])
        about = store.table.iloc[row]
        words = [f"row {row}", about["view"], about["split"], about["source"]]
        present = [finding for finding in store.labels if about[finding] == 1]
        caption = ", ".join(w for w in [*words, *present] if w)
        pictures.append(GalleryImage(pixels, alt=f"image of row {row}", caption=caption))
    return pictures


def _write_table(store: Store, found: list[DataIssue], path: Path) -> None:
    """`kind, image_id, other_image_id`, one line for each image or pair."""
    import pandas as pd

    ids = store.table["image_id"].to_numpy()
    lines = []
    for issue in found:
        for row in issue.rows.reshape(-1, issue.rows.shape[1] if issue.rows.ndim > 1 else 1):
            names = [*ids[row], ""][:2]
            lines.append({"kind": issue.kind, "image_id": names[0], "other_image_id": names[1]})
    pd.DataFrame(lines, columns=["kind", "image_id", "other_image_id"]).to_csv(path, index=False)
