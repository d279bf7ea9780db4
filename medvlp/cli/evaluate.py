"""`medvlp evaluate`: how well a model does on a split of a store, every figure with its 95 % interval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from medvlp.cli.result_table import print_result
from medvlp.progress import progress_bar


class EvaluateCommand(TyperCommand):
    """Its help ends with the tasks that are registered; they are imported when the help is printed, not before."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        typer.echo(tasks_help())


def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of `medvlp pretrain` or `medvlp finetune`.")],
    store: Annotated[Path, typer.Option(help="Folder of `medvlp data prepare`.")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value of the task, listed below.")] = None,
    task: Annotated[
        str, typer.Option(help="What to measure, listed below.", autocompletion=lambda: task_names())
    ] = "label",
    split: Annotated[str, typer.Option(help="train, validate or test.")] = "test",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for result.json and the tables.")] = None,
    findings: Annotated[str | None, typer.Option(help="Ids with commas, or a label space.")] = None,
    views: Annotated[str | None, typer.Option(help="Views with commas, such as PA,AP.")] = None,
    source: Annotated[str | None, typer.Option(help="Only images of this data set of the store.")] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV of known labels, by image_id.")] = None,
    unmentioned: Annotated[
        str, typer.Option(help="What an unmentioned finding counts as: ignore or negative.")
    ] = "ignore",
    heat_map: Annotated[str | None, typer.Option(help="The same as heat_map=...")] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap over patients.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """AUROC, retrieval, grounding or Dice on held-out patients, with intervals from resampling patients.

    Example: `medvlp evaluate runs/devide --store store --split test --task grounding heat_map=evidence -o results`
    """
    from medvlp.cli.image_input import finding_list
    from medvlp.data.store import Store
    from medvlp.evaluation import Protocol, options_of
    from medvlp.evaluation import evaluate as measure
    from medvlp.tasks import load

    protocol = Protocol(
        split=split,
        source=source,
        views=views.split(",") if views else None,
        findings=finding_list(findings),
        labels=labels,
        unmentioned=unmentioned,  # type: ignore[arg-type]
        resamples=resamples,
        seed=seed,
    )
    options = _read_settings([*(settings or ()), *([f"heat_map={heat_map}"] if heat_map else [])])
    options_of(task, options)  # before anything is loaded
    opened = Store.open(store)
    with progress_bar(task, quiet=as_json) as progress:
        result = measure(load(model, device), opened, task, protocol, progress=progress, **options)
    if out is not None:
        result.save(out)
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_result(result)
        if out is not None:
            typer.echo(f"written to {out}", err=True)


def task_names() -> list[str]:
    """Every registered task."""
    from medvlp.evaluation import TASKS

    return TASKS.names()


def tasks_help() -> str:
    """Each registered task with the first line of its docstring, and its settings with their defaults."""
    from medvlp.evaluation import TASKS

    lines = ["Tasks, and their settings as key=value:"]
    for name in TASKS:
        task = TASKS.get(name)
        lines.append(f"\n  {name}: {(task.__doc__ or '').strip().splitlines()[0]}")
        for key, field in task.Options.model_fields.items():
            default = field.get_default(call_default_factory=True)
            lines.append(f"    {key}={default}  {field.description or ''}".rstrip())
    return "\n".join(lines)


def _read_settings(pairs: list[str]) -> dict[str, Any]:
    """`key=value` -> value as YAML reads it."""
    import yaml

    from medvlp.tasks import TaskError

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise TaskError(f'"{pair}" is no key=value; say what to measure with --task')
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise TaskError(f"{key}: {value!r} is no YAML value") from error
    return found
