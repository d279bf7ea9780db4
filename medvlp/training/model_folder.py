"""A saved model: a folder that holds all that inference needs and runs no pickled code when it is loaded.

recipe.yaml         the complete recipe
model.safetensors   the weights
tokenizer/          of reports and phrases; only of a pretraining
preprocess.json     what images went through; a model refuses images prepared otherwise
knowledge.yaml      the texts of its findings; only of a pretraining
card.json           medvlp version, task, whether the data were generated, hash of the store, result of the validation
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

import medvlp
from medvlp.data.base_preprocess import BasePreprocess
from medvlp.data.preprocess import Preprocess
from medvlp.data.store import Store
from medvlp.errors import MedVLPError
from medvlp.io.atomic_write import atomic_folder
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method
from medvlp.methods.pretraining_objective import current_names
from medvlp.models import ReportTokenizer
from medvlp.training.assemble import assemble
from medvlp.training.image_distribution import ImageDistribution
from medvlp.training.recipe import Recipe, RunRecipe
from medvlp.training.task import TrainingTask

# Buffers that transformers once saved and now computes; old folders may hold them, and their absence loses nothing.
COMPUTED_BUFFERS = ("position_ids", "token_type_ids")
WEIGHTS, CARD = "model.safetensors", "card.json"
PRETRAINING = "pretraining"  # the kind of a folder of `medvlp pretrain`
GENERATED_NOTICE = "Trained on generated data. Not for clinical use."


class PreprocessingError(MedVLPError, ValueError):
    """A store that was prepared otherwise than the images of a model; names each setting that differs."""


class ModelFolderError(MedVLPError, RuntimeError):
    """A folder that is not a loadable model; says what is missing or does not fit."""


@dataclass
class LoadedModel:
    """What loaded models of all kinds have.

    Attributes:
        preprocess: what its images go through.
        generated: True when it was trained on generated data; then `notice` must stand on everything made with it.
        card: all of card.json.
        device: where its weights are.
        training_images: what its training images looked like; None in folders of before version 0.2.
    """

    preprocess: Preprocess
    generated: bool
    card: dict[str, Any]
    device: torch.device
    training_images: ImageDistribution | None = field(default=None, kw_only=True)

    @property
    def trunk(self) -> nn.Module:
        """The network that reads its images: timm's, or a registered encoder."""
        raise NotImplementedError

    @property
    def notice(self) -> str | None:
        """What must stand on every file made with this model, or None."""
        return GENERATED_NOTICE if self.generated else None


@dataclass
class TrainedModel(LoadedModel):
    """A loaded pretrained model.

    Attributes:
        method: in eval mode, on `device`.
        recipe, tokenizer, book: as saved.
        findings: finding ids, the columns of its training labels.
    """

    method: Method
    recipe: Recipe
    tokenizer: ReportTokenizer
    book: KnowledgeBook
    findings: tuple[str, ...]

    @property
    def trunk(self) -> nn.Module:
        encoder = self.method.image_encoder
        return cast(nn.Module, getattr(encoder, "trunk", encoder))

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        """Normalized images `[B, 1, H, W]` -> probability `[B, F]` of findings, by the method's own path."""
        return self.method.score(images, findings)


class ModelFolder:
    """The files of a saved model of any kind; the card says which.

    Args:
        path: of the folder, which need not exist before `write`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def write(
        self,
        task: TrainingTask,
        recipe: RunRecipe,
        store: Store,
        weights: Mapping[str, Tensor] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the model of a task, whole or not at all; files of the folder that are not part of a model stay.

        Args:
            task, recipe, store: of the run.
            weights: saved instead of the model's own, such as their moving average.
            result: more entries of the card, such as step and validation metric.

        Raises:
            DiskFullError: nothing was written, and what was there before is intact.
        """
        generated = store.generated or task.generated
        card = {
            "medvlp": medvlp.__version__,
            "task": task.kind,
            "generated": generated,
            "notice": GENERATED_NOTICE if generated else None,
            "store": store.hash,
            "preprocess": store.preprocess.hash,
            **task.card(),
            **(result or {}),
        }
        with atomic_folder(self.path) as staging:
            tensors = _separate(weights or task.model.state_dict())
            (staging / WEIGHTS).write_bytes(to_bytes(tensors))  # a full disk is an OSError here
            task.write_files(staging)
            (staging / CARD).write_text(json.dumps(card, indent=2) + "\n")

    @property
    def kind(self) -> str:
        """`pretraining`, or the task of a fine-tuned model. A folder without a card is taken for a pretraining."""
        path = self.path / CARD
        card = json.loads(path.read_text()) if path.is_file() else {}
        return str(card.get("task", PRETRAINING))  # cards of pretrainings before version 0.2 name no task

    def card(self) -> dict[str, Any]:
        """All of card.json.

        Raises:
            ModelFolderError: a file of the model is missing; says what to do.
        """
        self.check_complete()
        return dict(json.loads((self.path / CARD).read_text()))

    def preprocess(self) -> Preprocess:
        """What the model's images go through."""
        return Preprocess.load(self.path / "preprocess.json")

    def check_complete(self) -> None:
        """Raise ModelFolderError where a file of the model is missing; says which and what to do."""
        if not self.path.is_dir():
            raise ModelFolderError(f"There is no model folder {self.path}.")
        text = ["tokenizer", "knowledge.yaml"] if self.kind == PRETRAINING else []
        files = ["recipe.yaml", WEIGHTS, *text, "preprocess.json", CARD]
        missing = [name for name in files if not (self.path / name).exists()]
        if not missing:
            return
        verb = "pretrain" if self.kind == PRETRAINING else "finetune"
        hint = ""
        if missing == [WEIGHTS, CARD]:
            hint = f" Its training has not saved a model yet: continue it with `medvlp {verb} ... --resume`."
        elif missing == [WEIGHTS]:
            hint = f" The weights did not come along: copy them, or train them again with `medvlp {verb}`."
        raise ModelFolderError(f"{self.path} is not a complete model folder: {', '.join(missing)} missing.{hint}")

    def load_weights(self, model: nn.Module) -> None:
        """Load the weights into a model, with exact names and shapes; computed buffers are named in a warning.

        Raises:
            ModelFolderError: the file is damaged, or does not fit the model.
        """
        path = self.path / WEIGHTS
        try:
            weights = load_file(path)
        except SafetensorError as error:
            raise ModelFolderError(
                f"{path} is damaged or no safetensors file: {error}. Copy the folder again, or train the model again."
            ) from error
        _load_weights(model, current_names(weights), self.path)


def write_method(folder: Path, method: Method, recipe: Recipe, preprocess: BasePreprocess) -> None:
    """Write all of a pretrained model but its weights and card."""
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    preprocess.save(folder / "preprocess.json")
    method.tokenizer.save(folder / "tokenizer")
    if method.reads_text:
        method.text_encoder.save_config(folder / "tokenizer")
    method.book.to_yaml(folder / "knowledge.yaml")  # all of it: findings can be asked that it was not trained on


def read_texts(folder: Path) -> tuple[ReportTokenizer, KnowledgeBook]:
    """Tokenizer and book of a run or a pretrained model."""
    return ReportTokenizer.load(folder / "tokenizer"), KnowledgeBook.load(folder / "knowledge.yaml")


def load_model(folder: Path | str, device: str = "auto") -> TrainedModel:
    """Load a model folder, in eval mode. Nothing is downloaded and no pickled code runs.

    Args:
        folder: written by `ModelFolder.write`.
        device: `auto` takes a GPU where there is one.

    Raises:
        ModelFolderError: the folder, or a file of it, is missing or damaged, or the weights do not fit the recipe.
    """
    files = ModelFolder(folder)
    card = files.card()
    if files.kind != PRETRAINING:
        raise ModelFolderError(f"{folder} is a {files.kind} model; `medvlp.load` or `load_finetuned` loads it.")
    folder, recipe, preprocess = files.path, Recipe.load(files.path / "recipe.yaml"), files.preprocess()
    texts, config = read_texts(folder), folder / "tokenizer"
    objective = assemble(recipe, *texts, preprocess.size, pretrained=False, text_config=config)
    files.load_weights(objective.model)
    target = device_named(device)
    method = objective.method.to(target).eval()
    return TrainedModel(
        method=method,
        recipe=recipe,
        preprocess=preprocess,
        tokenizer=method.tokenizer,
        book=method.book,
        findings=method.findings,
        generated=bool(card["generated"]),
        card=card,
        device=target,
        training_images=ImageDistribution.load(folder),
    )


def device_named(name: str = "auto") -> torch.device:
    """As torch names it; `auto` takes a GPU where there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def with_notice(table: pd.DataFrame, notice: str | None) -> pd.DataFrame:
    """The table with the column `notice` where there is one: whoever opens the file alone has to see it."""
    return table if notice is None else table.assign(notice=notice)


def _load_weights(model: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Load with exact names and shapes, but for computed buffers, which are named in a warning."""
    wanted = model.state_dict()
    surplus, missing = sorted(weights.keys() - wanted.keys()), sorted(wanted.keys() - weights.keys())
    harmless = [name for name in surplus + missing if name.rpartition(".")[2] in COMPUTED_BUFFERS]
    shapes = [
        f"{name} is {list(weights[name].shape)}, the recipe makes {list(wanted[name].shape)}"
        for name in sorted(wanted.keys() & weights.keys())
        if wanted[name].shape != weights[name].shape
    ]
    problems = [
        *(f"{name} is missing" for name in missing if name not in harmless),
        *(f"{name} is not part of the model" for name in surplus if name not in harmless),
        *shapes,
    ]
    if problems:
        more = f"\n  ... and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise ModelFolderError(
            f"The weights of {folder} do not fit its recipe ({len(problems)} of {len(wanted)} tensors):\n  "
            + "\n  ".join(problems[:8])
            + more
        )
    if harmless:
        warnings.warn(f"{folder}: ignored computed buffers of another version: {', '.join(harmless)}", stacklevel=4)
    model.load_state_dict({name: t for name, t in weights.items() if name not in harmless}, strict=False)


def _separate(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, contiguous, and each with memory of its own, as safetensors wants it."""
    return {name: t.detach().cpu().contiguous().clone() for name, t in weights.items()}


def check_preprocessing(store: Store, preprocess: BasePreprocess) -> None:
    """Refuse a store that was prepared otherwise than the model's training images.

    Raises:
        PreprocessingError: names each setting that differs.
    """
    differences = store.preprocess.differences(preprocess)
    if differences:
        raise PreprocessingError(
            f"{store.path} was prepared otherwise than the images this model was trained on ({'; '.join(differences)}; "
            "store against model). Prepare it again with the model's preprocess.json"
        )
