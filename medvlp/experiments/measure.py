"""The second half of an experiment: every figure of the page, on held-out patients, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from medvlp.data.store import Store
from medvlp.evaluation.grounding import GroundingOptions, GroundingResult, evaluate_grounding
from medvlp.evaluation.label import LabelResult, compare_auroc, evaluate_labels
from medvlp.evaluation.protocol import Protocol
from medvlp.evaluation.retrieval import RetrievalResult, evaluate_retrieval
from medvlp.evaluation.segmentation import SegmentationResult, compare_dice, evaluate_segmentation
from medvlp.experiments.plan import PRETRAINED, SCRATCH, UNTRAINED, ExperimentPlan
from medvlp.experiments.work_dir import WorkDir
from medvlp.metrics import Estimate, bootstrap_by_patient, macro_auroc
from medvlp.training.finetuning import FinetunedModel, load_finetuned
from medvlp.training.model_folder import TrainedModel, load_model


@dataclass
class Measured:
    """What an experiment has shown, by the model's name.

    Attributes:
        models: the trained models, the main one first, then the untrained one.
        zero_shot: labels without annotations.
        above: model -> finding -> AUROC of the main model minus that model's, on the same patients.
        large: model -> macro AUROC over the plan's large findings.
        segmenters, segmentation: head on the pretrained encoder, and from scratch.
        dice_gain: structure -> Dice with the pretrained encoder minus from scratch.
        retrieval, grounding: by model.
    """

    models: dict[str, TrainedModel]
    zero_shot: dict[str, LabelResult] = field(default_factory=dict)
    above: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    large: dict[str, Estimate] = field(default_factory=dict)
    segmenters: dict[str, FinetunedModel] = field(default_factory=dict)
    segmentation: dict[str, SegmentationResult] = field(default_factory=dict)
    dice_gain: dict[str, Estimate] = field(default_factory=dict)
    retrieval: dict[str, RetrievalResult] = field(default_factory=dict)
    grounding: dict[str, GroundingResult] = field(default_factory=dict)


def measure(plan: ExperimentPlan, work_dir: WorkDir, store: Store) -> Measured:
    """Evaluate every model of the plan; every result is also saved under `results/`."""
    names = [plan.main, *(name for name in plan.models if name != plan.main), UNTRAINED]
    measured = Measured({name: load_model(work_dir.model(name)) for name in names})
    with work_dir.stage("measuring", "Measuring on held-out patients"):
        _zero_shot(plan, work_dir, store, measured)
        if plan.segment:
            _segmentation(plan, work_dir, store, measured)
        protocol = Protocol(views=plan.zero_shot.views)
        reading = {name: model for name, model in measured.models.items() if model.method.reads_text}
        if plan.retrieve:
            for name, model in reading.items():
                measured.retrieval[name] = evaluate_retrieval(model, store, protocol)
                measured.retrieval[name].save(work_dir.results("retrieval", name))
        if plan.ground:
            kind = plan.ground.heat_map
            for name, model in (reading if kind == "phrase" else measured.models).items():
                boxes = replace(protocol, findings=plan.ground.findings)
                measured.grounding[name] = evaluate_grounding(model, store, boxes, GroundingOptions(heat_map=kind))
                measured.grounding[name].save(work_dir.results("grounding", name))
    return measured


def _zero_shot(plan: ExperimentPlan, work_dir: WorkDir, store: Store, measured: Measured) -> None:
    protocol = plan.zero_shot.protocol(labels=work_dir.truth if plan.zero_shot.labels == "truth" else None)
    for name, model in measured.models.items():
        measured.zero_shot[name] = evaluate_labels(model, store, protocol)
        measured.zero_shot[name].save(work_dir.results("zero_shot", name))
        if plan.zero_shot.large:
            measured.large[name] = _macro(measured.zero_shot[name], plan.zero_shot.large)
    main = measured.zero_shot[plan.main]
    for name, result in measured.zero_shot.items():
        if name != plan.main:
            measured.above[name] = compare_auroc(main, result)


def _macro(result: LabelResult, findings: tuple[str, ...]) -> Estimate:
    use = [result.names.index(name) for name in findings if name in result.findings]
    columns = (result.truth[:, use], result.scores[:, use], result.known[:, use])
    return bootstrap_by_patient(
        macro_auroc, result.patient_ids, *columns, n=result.protocol["resamples"], seed=result.protocol["seed"]
    )


def _segmentation(plan: ExperimentPlan, work_dir: WorkDir, store: Store, measured: Measured) -> None:
    assert plan.segment is not None
    protocol = Protocol(split=plan.segment.split, views=plan.zero_shot.views)
    for name in (PRETRAINED, SCRATCH):
        measured.segmenters[name] = load_finetuned(work_dir.segmenter(name))
        measured.segmentation[name] = evaluate_segmentation(measured.segmenters[name], store, protocol)
        measured.segmentation[name].save(work_dir.results("segmentation", name))
    measured.dice_gain = compare_dice(measured.segmentation[PRETRAINED], measured.segmentation[SCRATCH])
