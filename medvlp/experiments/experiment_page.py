"""The page of an experiment: what was trained and on what, then one section for each thing that was measured."""

from __future__ import annotations

from medvlp.data.store import Store
from medvlp.evaluation.label import LabelResult
from medvlp.experiments.experiment_figures import grounding_pictures, retrieved_reports, segmentation_pictures
from medvlp.experiments.measure import Measured
from medvlp.experiments.plan import PRETRAINED, SCRATCH, UNTRAINED, ExperimentPlan
from medvlp.experiments.work_dir import WorkDir
from medvlp.knowledge import name_of
from medvlp.metrics import Estimate
from medvlp.training.run_log import logged
from medvlp.viz import Cell, Page, RocCurve, interval_figure, roc_figure, training_figure


def write_page(plan: ExperimentPlan, work_dir: WorkDir, store: Store, measured: Measured) -> None:
    """Write `index.html`, self-contained."""
    page = Page(plan.title, plan.summary, notice=measured.models[plan.main].notice)
    _trained(page, plan, work_dir, store)
    _zero_shot(page, plan, measured)
    if plan.segment:
        _segmentation(page, plan, store, measured)
    if plan.retrieve:
        _retrieval(page, plan, work_dir, store, measured)
    if plan.ground:
        _grounding(page, plan, store, measured)
    page.section("How to read this page")
    page.bullets(
        [
            "Intervals hold 95 % of 1,000 resamples of the test patients: they say how far the value would move with "
            "other patients, not with another training run.",
            "`unimodal` is the supervised baseline on the same images, labels and budget; "
            f"`{UNTRAINED}` is `{plan.main}` before its first step.",
            "A difference is outside chance where its interval does not hold 0.",
            *plan.limits,
        ]
    )
    page.write(work_dir.page)


def _trained(page: Page, plan: ExperimentPlan, work_dir: WorkDir, store: Store) -> None:
    page.section("What was trained")
    table = store.table
    minutes = {name: seconds / 60 for name, seconds in work_dir.seconds.items()}
    page.facts(
        {
            "patients": int(table["patient_id"].nunique()),
            "radiographs": len(table),
            "reports": len(store.reports),
            "could not be read": store.quarantined,
            "minutes in all": f"{sum(minutes.values()):.1f}",
        }
    )
    page.table(
        ["split", "patients", "radiographs"],
        [
            [str(split), int(rows["patient_id"].nunique()), len(rows)]
            for split, rows in table.groupby("split", observed=True)
        ],
        caption="No patient stands in two splits",
    )
    if lines := {name: line for name in plan.models if (line := logged(work_dir.model(name), "validate", "auroc"))[0]}:
        page.figure(
            training_figure(lines, y_label="AUROC", title="Validation AUROC"),
            "Zero-shot AUROC on validation patients of all data sets while training, against the labels of the store.",
        )
    page.table(
        ["step", "minutes"],
        [[name, round(value, 1)] for name, value in minutes.items()],
        caption="Time on this machine",
    )


def _zero_shot(page: Page, plan: ExperimentPlan, measured: Measured) -> None:
    results = measured.zero_shot
    main = results[plan.main]
    page.section("Labels without annotations")
    protocol = main.protocol
    page.text(
        f"AUROC on {protocol['images']:,} radiographs of {protocol['patients']:,} held-out patients, against "
        + ("the truth of the pictures" if plan.zero_shot.labels == "truth" else "the data set's own labels")
        + ". No label of these patients was used in training, and no threshold is fitted."
    )
    rows: list[list[Cell]] = [["macro average", *(r.macro for r in results.values())]]
    if measured.large:
        rows.append(["large findings", *measured.large.values()])
    for finding in main.findings:
        known = [r.findings[finding].auroc if finding in r.findings else None for r in results.values()]
        rows.append([f"{name_of(finding)} ({main.findings[finding].positives})", *known])
    heads = list(range(1 + bool(measured.large)))
    page.table(["finding (positives)", *results], rows, caption="AUROC with 95 % intervals", emphasis=heads)
    page.table(
        ["compared with", "macro difference"],
        [[name, difference["macro"]] for name, difference in measured.above.items()],
        caption=f"AUROC of {plan.main} minus that of another model, on the same patients",
    )
    figures = {row[0]: {n: c for n, c in zip(results, row[1:], strict=True) if isinstance(c, Estimate)} for row in rows}
    page.figure(
        interval_figure({str(k): v for k, v in figures.items()}, emphasis=tuple(str(rows[i][0]) for i in heads)),
        "The same figures with their intervals; the dashed line is chance.",
    )
    panels = {
        name_of(f): {n: _curve(r, f) for n, r in results.items() if n != UNTRAINED and f in r.findings}
        for f in main.findings
    }
    page.figure(roc_figure(panels, models=list(results)), f"ROC curves; the band is the 95 % interval of {plan.main}.")


def _curve(result: LabelResult, finding: str) -> RocCurve:
    points = result.roc(finding)
    return RocCurve(points["rates"], points["hits"], points["low"], points["high"], result.findings[finding].auroc)


def _segmentation(page: Page, plan: ExperimentPlan, store: Store, measured: Measured) -> None:
    first, second = measured.segmentation[PRETRAINED], measured.segmentation[SCRATCH]
    page.section("Segmentation")
    images = measured.segmenters[PRETRAINED].card["training_images"]
    page.text(
        f"The same head and the same {images:,} training images, on the encoder of `{plan.main}` and on that encoder "
        f"from scratch; Dice of the foreground on {first.protocol['images']:,} held-out radiographs."
    )
    page.table(
        ["structure", "pretrained encoder", "from scratch", "difference"],
        [
            [name, each["dice"], second.structures[name]["dice"], measured.dice_gain[name]]
            for name, each in first.structures.items()
        ],
        caption="Dice with 95 % intervals",
    )
    page.gallery(segmentation_pictures(plan, store, measured), "Three pictures a patient: truth, pretrained, scratch.")


def _retrieval(page: Page, plan: ExperimentPlan, work_dir: WorkDir, store: Store, measured: Measured) -> None:
    page.section("Reports for an image")
    page.text(
        "Precision counts, among the nearest reports of other patients, how much of the findings agrees with the "
        "query's own report (Jaccard of the present findings); chance is a random order. Recall asks for the report "
        "itself."
    )
    names = ["finding_precision@5", "finding_precision_chance", "image_to_report_recall@5", "report_to_image_recall@5"]
    page.table(
        ["model", *(name.replace("_", " ") for name in names)],
        [[model, *(result.figures[name] for name in names)] for model, result in measured.retrieval.items()],
        caption="Retrieval among the test reports",
    )
    for picture, quotes in retrieved_reports(plan, work_dir, store, measured):
        page.image_with_quotes(picture, quotes)


_MAPS = {
    "phrase": "Each map shows how well the parts of the image fit the name of a finding.",
    "evidence": "Each map shows what the score of a finding stands on (HiResCAM), also for the baseline without text.",
}


def _grounding(page: Page, plan: ExperimentPlan, store: Store, measured: Measured) -> None:
    assert plan.ground is not None
    page.section("Where a finding is")
    page.text(
        f"{_MAPS[plan.ground.heat_map]} The hottest point of a map counts when it lies in the true box; blind pointing "
        "reaches the share of the image that the box covers. No box was used in training."
    )
    main = measured.grounding[plan.main]
    names = list(measured.grounding)
    columns = ["finding", *(f"pointing game, {name}" for name in names), "blind", f"CNR, {plan.main}"]
    rows: list[list[Cell]] = [
        [
            "mean over findings",
            *(measured.grounding[n].macro["pointing"] for n in names),
            main.macro["chance"],
            main.macro["cnr"],
        ]
    ]
    for finding, values in main.findings.items():
        pointed = [measured.grounding[n].findings[finding]["pointing"] for n in names]
        rows.append([name_of(finding), *pointed, values["chance"], values["cnr"]])
    page.table(columns, rows, caption="Grounding on held-out patients", emphasis=[0])
    page.gallery(grounding_pictures(plan, store, measured), "Heat maps and the true boxes.")
