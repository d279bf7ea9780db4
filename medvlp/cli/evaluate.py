"""`medvlp evaluate`: how well a model does on a split of a store, every figure with its 95 % interval."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvlp.cli.ground import Kind
from medvlp.cli.result_table import print_result
from medvlp.cli.user_errors import user_errors
from medvlp.progress import progress_bar

if TYPE_CHECKING:
    from medvlp.data.store import Store
    from medvlp.evaluation.result import Result
    from medvlp.tasks.model import Model


class Task(StrEnum):
    """What is measured."""

    ZERO_SHOT = "zero-shot"
    RETRIEVAL = "retrieval"
    GROUNDING = "grounding"
    SEGMENTATION = "segmentation"


class Unmentioned(StrEnum):
    """What a finding counts as that nobody mentions."""

    IGNORE = "ignore"
    NEGATIVE = "negative"


def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of `medvlp pretrain` or `medvlp finetune`.")],
    store: Annotated[Path, typer.Option(help="Folder of `medvlp data prepare`.")],
    task: Annotated[Task, typer.Option(help="What to measure.")] = Task.ZERO_SHOT,
    split: Annotated[str, typer.Option(help="train, validate or test.")] = "test",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for result.json and the tables.")] = None,
    findings: Annotated[str | None, typer.Option(help="Ids with commas, or a label space.")] = None,
    views: Annotated[str | None, typer.Option(help="Views with commas, such as PA,AP.")] = None,
    source: Annotated[str | None, typer.Option(help="zero-shot: only rows of this data set of the store.")] = None,
    labels: Annotated[Path | None, typer.Option(help="zero-shot: CSV of known labels, by image_id.")] = None,
    unmentioned: Annotated[
        Unmentioned, typer.Option(help="zero-shot: what an unmentioned finding counts as.")
    ] = Unmentioned.IGNORE,
    heat_map: Annotated[Kind, typer.Option(help="grounding: as `medvlp ground --kind`.")] = Kind.PHRASE,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap over patients.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """AUROC, retrieval, grounding or Dice on held-out patients, with intervals from resampling patients.

    Example: `medvlp evaluate runs/devide --store store --split test --task zero-shot -o results`
    """
    with user_errors():
        from medvlp.cli.finding_list import finding_list
        from medvlp.data.manifest_columns import SPLITS
        from medvlp.data.store import Store
        from medvlp.tasks.model import load

        if split not in SPLITS:
            raise typer.BadParameter(f"{split!r} is none of {', '.join(SPLITS)}", param_hint="--split")
        asked = finding_list(findings)
        loaded, opened = load(model, device), Store.open(store)
        zero_shot = {"source": source, "labels": labels, "unmentioned": unmentioned.value}
        with progress_bar(task.value, quiet=as_json) as progress:
            common = {
                "split": split,
                "views": views.split(",") if views else None,
                "resamples": resamples,
                "seed": seed,
                "progress": progress,
            }
            result = _measure(task, loaded, opened, asked, heat_map, zero_shot, common)
        if out is not None:
            result.save(out)
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_result(result)
        if out is not None:
            typer.echo(f"written to {out}", err=True)


def _measure(
    task: Task,
    model: Model,
    store: Store,
    findings: tuple[str, ...] | None,
    heat_map: Kind,
    zero_shot: dict[str, Any],
    common: dict[str, Any],
) -> Result:
    from medvlp import evaluation

    if task is Task.SEGMENTATION:
        return evaluation.evaluate_segmentation(model.fine_tuned, store, **common)
    if task is Task.RETRIEVAL:
        return evaluation.evaluate_retrieval(model.pretrained, store, findings=findings, **common)
    if task is Task.GROUNDING:
        return evaluation.evaluate_grounding(model.pretrained, store, findings=findings, kind=heat_map.value, **common)
    return evaluation.evaluate_labels(model.pretrained, store, findings=findings, **zero_shot, **common)
