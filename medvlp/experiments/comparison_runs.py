"""The runs of a comparison: each method with each seed is trained and measured once; one that fails stops no other."""

from __future__ import annotations

import hashlib
import shutil
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medvlp.data.store import Store
from medvlp.evaluation.label import labeled_rows
from medvlp.evaluation.measured_run import MeasuredRun, measure_run
from medvlp.evaluation.protocol import Protocol
from medvlp.experiments.comparison import Comparison, folder_name
from medvlp.experiments.work_dir import WorkDir
from medvlp.io.atomic_write import DiskFullError
from medvlp.models import ReportTokenizer
from medvlp.reports.states import FindingState
from medvlp.tasks.admission import TaskError
from medvlp.training.assemble import load_book, make_tokenizer
from medvlp.training.checkpoint import STATE_FOLDER, check_same_recipe
from medvlp.training.model_folder import load_model
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe


@dataclass
class Runs:
    """What is finished, and what is not.

    Attributes:
        done: method -> seed -> its run.
        failed: method -> seed -> the reason, in one line; `error.txt` in the run's results has all of it.
    """

    done: dict[str, dict[int, MeasuredRun]]
    failed: dict[str, dict[int, str]] = field(default_factory=dict)


def model_folder(work_dir: WorkDir, name: str, seed: int) -> Path:
    """Where a run is trained."""
    return work_dir.model(folder_name(name)) / f"seed{seed}"


def check_measurable(comparison: Comparison, store: Store, labels: Path | None) -> None:
    """Refuse, before anything is trained, what could not be measured afterwards.

    Raises:
        TaskError: no held-out images, labels that do not fit them, or no finding that some have and others have not.
    """
    rows, states = labeled_rows(store, _protocol(comparison, labels), comparison.findings)
    present, absent = ((states == state).any(0) for state in (FindingState.PRESENT, FindingState.ABSENT))
    if not (present & absent).any():
        raise TaskError(
            f"None of the {len(comparison.findings)} findings is both present and absent among the {len(rows)} "
            "held-out images, so no AUROC can be measured. Give labels with --labels, or hold out more patients."
        )


def run_all(
    comparison: Comparison, work_dir: WorkDir, store: Store, labels: Path | None, progress: bool
) -> Iterator[Runs]:
    """Train and measure what is not there yet, one seed of every method after the other.

    Gives what there is after each seed, so that a page can be written long before the last.

    Args:
        comparison: its recipes name the store.
        work_dir: the comparison's folder.
        store: opened.
        labels: a table of known labels instead of the store's own.
        progress: draw a bar for each run.

    Raises:
        ResumeError: the folder holds runs of other settings.
        DiskFullError: no room; what is finished stays.
    """
    runs = Runs({name: {} for name in comparison.recipes})
    measured = _measured(comparison, store, labels)
    tokenizers: dict[str, ReportTokenizer] = {}
    if comparison.baseline_added and progress:
        _say(f"added: {comparison.baseline}, the supervised baseline")
    total, position = comparison.seeds * len(comparison.recipes), 0
    for seed in range(comparison.seeds):
        for name, recipe in comparison.recipes.items():
            position += 1
            recipe = recipe.model_copy(update={"seed": seed})
            model, results = model_folder(work_dir, name, seed), work_dir.results(folder_name(name), f"seed{seed}")
            if (model / "recipe.yaml").exists():
                check_same_recipe(Recipe.load(model / "recipe.yaml"), recipe, model)
            run = MeasuredRun.load(results)
            if run is not None and run.settings == measured:
                runs.done[name][seed] = run
                continue
            if progress:
                _say(f"[{position}/{total}] {name}, seed {seed}")
            try:
                _train(recipe, model, store, tokenizers, progress)
                runs.done[name][seed] = run = measure_run(
                    load_model(model), store, measured, _protocol(comparison, labels)
                )
                run.save(results)
                (results / "error.txt").unlink(missing_ok=True)
                shutil.rmtree(model / STATE_FOLDER, ignore_errors=True)
            except DiskFullError:
                raise
            except Exception as error:
                runs.failed.setdefault(name, {})[seed] = _reason(error)
                results.mkdir(parents=True, exist_ok=True)
                (results / "error.txt").write_text("".join(traceback.format_exception(error)))
                _say(f"{name}, seed {seed}, failed: {_reason(error)}", style="red")
        yield runs


def _train(recipe: Recipe, folder: Path, store: Store, tokenizers: dict[str, ReportTokenizer], progress: bool) -> None:
    """Train, or continue; a model folder that is there is finished, since these runs save one at their end only."""
    if (folder / "card.json").exists():
        return
    key = repr((recipe.text_encoder, recipe.knowledge, recipe.data.train_split, recipe.data.sections))
    if key not in tokenizers:
        tokenizers[key] = make_tokenizer(recipe, store, load_book(recipe))
    pretrain(recipe, folder, resume=True, progress=progress, tokenizer=tokenizers[key])


def _protocol(comparison: Comparison, labels: Path | None) -> Protocol:
    return replace(comparison.zero_shot.protocol(labels), findings=comparison.findings)


def _measured(comparison: Comparison, store: Store, labels: Path | None) -> dict[str, Any]:
    """All that decides the figures of a trained model, as plain values."""
    names = ("store", "split", "source", "views")
    record = _protocol(comparison, labels).record(store, store.rows(comparison.zero_shot.split))
    return {name: record[name] for name in names} | {
        "findings": list(comparison.findings),
        "labels": hashlib.sha256(labels.read_bytes()).hexdigest()[:16] if labels else None,
    }


def _reason(error: Exception) -> str:
    """One line, with the kind of error unless the package raised it itself."""
    text = " ".join(str(error).split())
    return text if type(error).__module__.startswith("medvlp.") else f"{type(error).__name__}: {text}"


def _say(text: str, style: str = "") -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False).print(text, style=style, markup=False)
