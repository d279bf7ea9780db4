"""What a comparison writes: its page, and beside it `compare.json`, `compare.csv` and `table.md`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medvlp.data.store import Store
from medvlp.evaluation.compare_methods import ComparisonResult
from medvlp.experiments.comparison import Comparison
from medvlp.experiments.comparison_runs import Runs, model_folder
from medvlp.experiments.work_dir import WorkDir
from medvlp.knowledge import name_of
from medvlp.metrics import Estimate
from medvlp.training.model_folder import with_notice
from medvlp.training.recipe import Recipe
from medvlp.training.run_log import METRICS_FILE, logged
from medvlp.viz import Cell, Page, interval_figure, training_panels


def write_page(comparison: Comparison, work_dir: WorkDir, store: Store, runs: Runs, result: ComparisonResult) -> None:
    """Write `index.html`, self-contained."""
    page = Page(comparison.title, comparison.summary, notice=result.notice)
    _table(page, comparison, runs, result)
    _differences(page, result)
    _findings(page, result)
    _curves(page, comparison, work_dir, runs, result)
    _protocol(page, comparison, store, result)
    _how_to_read(page, comparison, result)
    page.write(work_dir.page)


def _table(page: Page, comparison: Comparison, runs: Runs, result: ComparisonResult) -> None:
    page.section("The table")
    ranked = result.ranked()
    page.facts(
        {
            "methods": len(comparison.recipes),
            "seeds of each": comparison.seeds,
            "budget of a run": str(comparison.budget),
            "held-out patients": result.protocol["patients"],
            "runs finished": f"{sum(map(len, runs.done.values()))} of {comparison.seeds * len(comparison.recipes)}",
            "hours in steps": f"{sum(f.seconds * len(f.seeds) for f in result.methods.values()) / 3600:.2f}",
        }
    )
    head, rows = result.summary()
    page.table(
        head,
        rows,
        caption="Best first, with 95 % intervals over " + ("patients and seeds" if result.over_seeds else "patients"),
        digits=3,
        emphasis=[i for i, name in enumerate(ranked) if name == result.baseline],
    )
    if comparison.baseline_added:
        page.note(f"`{comparison.baseline}`, the supervised baseline, was not named and has been added.")
    if failures := result.failures():
        page.note("These runs have no figure:")
        page.bullets(failures)
    for doubt in result.doubts():
        page.note(doubt)
    page.figure(
        interval_figure(
            {name: {"macro AUROC": result.methods[name].macro} for name in ranked},
            x_label="macro AUROC",
            title="Macro AUROC with 95 % intervals",
            emphasis=(result.baseline or "",),
        ),
        "Macro AUROC, mean over seeds; the dashed line is chance.",
    )


def _differences(page: Page, result: ComparisonResult) -> None:
    page.section("Differences on the same patients")
    pairs = result.differences()
    drawn: dict[str, dict[str, Estimate]] = {}
    for name in result.ranked():
        found = {words: getattr(result.methods[name], field) for words, field in pairs.items()}
        if known := {words: difference for words, difference in found.items() if difference is not None}:
            drawn[name] = known
    if not drawn:
        page.text("There is one method with figures, so there is nothing to hold against another.")
        return
    page.text(
        "Macro AUROC minus that of the other method, patient by patient and seed by seed. A difference is outside "
        "chance where its interval does not hold 0, the dashed line. With many methods some intervals miss 0 by chance "
        "alone: one in twenty, where nothing differs."
    )
    page.figure(
        interval_figure(
            drawn, x_label="difference of macro AUROC", chance=0.0, models=list(pairs), title="Differences"
        ),
        "Paired differences with 95 % intervals, best method first.",
    )


def _findings(page: Page, result: ComparisonResult) -> None:
    page.section("Finding by finding")
    ranked = result.ranked()
    rows: list[list[Cell]] = []
    if all(result.methods[name].large for name in ranked):
        rows.append(["large findings", *(result.methods[name].large for name in ranked)])
    emphasis = list(range(len(rows)))
    for finding in result.methods[ranked[0]].findings:
        rows.append([name_of(finding), *(result.methods[name].findings[finding] for name in ranked)])
    page.table(["finding", *ranked], rows, caption="AUROC, mean over seeds, with 95 % intervals", emphasis=emphasis)
    read: list[list[Cell]] = []
    for name in ranked:
        f = result.methods[name]
        if f.precision or f.pointing:
            read.append([name, f.precision, f.precision_chance, f.pointing, f.pointing_blind])
    if read:
        page.table(
            ["method", "precision@5", "a random order", "pointing game", "pointing blindly"],
            read,
            caption="Retrieved reports and pointing, of the methods that read text",
        )


def _curves(page: Page, comparison: Comparison, work_dir: WorkDir, runs: Runs, result: ComparisonResult) -> None:
    folders = {
        name: [
            f for seed in range(comparison.seeds) if (f := model_folder(work_dir, name, seed) / METRICS_FILE).is_file()
        ]
        for name in dict.fromkeys([*result.ranked(), *runs.done])
    }
    page.section("Curves")
    for split, number, axis in (("validate", "auroc", "validation AUROC"), ("train", "loss", "training loss")):
        lines = {
            name: [_by_samples(comparison.recipes[name], *logged(f.parent, split, number)) for f in files]
            for name, files in folders.items()
        }
        if any(steps for each in lines.values() for steps, _ in each):
            beside = comparison.baseline if number == "auroc" else None
            page.figure(
                training_panels(lines, reference=beside, y_label=axis, x_label="samples", shared_y=number == "auroc"),
                f"The {axis} while training: a thin line a seed, a thick one their mean"
                + (
                    f", dashed the mean of `{beside}`."
                    if beside
                    else ". Losses of different methods are no common scale."
                ),
            )


def _by_samples(recipe: Recipe, steps: list[int], values: list[float]) -> tuple[list[float], list[float]]:
    return [step * recipe.data.batch_size * recipe.training.accumulate for step in steps], values


def _protocol(page: Page, comparison: Comparison, store: Store, result: ComparisonResult) -> None:
    page.section("Protocol")
    protocol, zero_shot = result.protocol, comparison.zero_shot
    training = store.rows("train")
    page.table(
        ["what", "value"],
        [
            ["budget of a run", str(comparison.budget)],
            ["seeds", ", ".join(map(str, range(comparison.seeds)))],
            [
                "trained on",
                f"{len(training):,} images of {store.table['patient_id'].iloc[training].nunique():,} patients",
            ],
            ["measured on", f"{protocol['images']:,} images of {protocol['patients']:,} patients"],
            ["split", f"{zero_shot.split}" + (f", data set {zero_shot.source}" if zero_shot.source else "")],
            ["views", ", ".join(zero_shot.views) if zero_shot.views else "all"],
            ["labels", "the truth of the pictures" if zero_shot.labels == "truth" else str(protocol["labels"])],
            ["unmentioned, uncertain findings", f"{protocol['unmentioned']}, {protocol['uncertain']}"],
            ["findings", ", ".join(name_of(f) for f in comparison.findings)],
            ["findings left out", "; ".join(f"{k}: {v}" for k, v in protocol["left_out"].items()) or "none"],
            ["prompts", "each method's own, by finding name; its recipe and page say which"],
            ["model measured", "the last one; no validation chooses it"],
            ["resamples of patients", f"{protocol['resamples']:,}, seed {protocol['seed']}"],
            ["store", store.hash],
        ],
        caption="The same for every method",
    )
    first = comparison.recipes[comparison.reference].flat()
    rows: list[list[Cell]] = []
    for name, recipe in comparison.recipes.items():
        other = {k: v for k, v in recipe.flat().items() if first.get(k) != v and k != "method"}
        rows.append([name, recipe.method, ", ".join(f"{k}={v}" for k, v in other.items()) or "nothing"])
    page.table(
        ["line", "method", f"set differently from {comparison.reference}"],
        rows,
        caption="What each method is trained with",
    )


def _how_to_read(page: Page, comparison: Comparison, result: ComparisonResult) -> None:
    page.section("How to read this page")
    spread = (
        "95 % intervals hold other patients, who are resampled, and other runs, by Student's distribution from the "
        "spread of these: how far the mean over seeds may be from that of many runs on many patients. `between seeds` "
        f"is the standard deviation of runs; {comparison.seeds} of them tell it roughly, which is in the intervals."
        if result.over_seeds
        else "There is one seed, so the intervals hold patients alone, and nothing is known of the spread between runs."
    )
    page.bullets(
        [
            spread,
            f"`{comparison.baseline}` is the supervised baseline on the same images, labels and budget.",
            "A small budget compares how fast methods learn from scratch, with the same encoders for all. It does not "
            "repeat the papers' tables, whose budgets and pretrained towers differ.",
            "precision@5: how much the findings of the five nearest reports of other patients agree with those of the "
            "image's own report. Pointing game: the hottest point of a finding's map lies in its box.",
            *comparison.limits,
        ]
    )


def write_tables(result: ComparisonResult, folder: Path) -> None:
    """Write all three; the notice of generated data stands in each."""
    (folder / "compare.json").write_text(json.dumps(result.to_json(), indent=2) + "\n")
    for name, table in result.tables().items():
        with_notice(table, result.notice).to_csv(folder / name, index=False)
    (folder / "table.md").write_text(_markdown_table(result))


def _markdown_table(result: ComparisonResult) -> str:
    """The table as Markdown, for a page of documentation."""
    head, rows = result.summary()
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    below = [*result.remarks(), *([result.notice] if result.notice else [])]
    return "\n".join(lines) + "\n" + "".join(f"\n{words}\n" for words in below)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Estimate):
        return value.text(digits=3)
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("|", "\\|")
