"""A saved model: a folder that holds all that inference needs and runs no pickled code when it is loaded.

recipe.yaml         the complete recipe
model.safetensors   the weights
tokenizer/          of reports and phrases
preprocess.json     what images went through; a model refuses images prepared otherwise
knowledge.yaml      the texts of its findings
card.json           medvlp version, whether the data were generated, hash of the store, result of the validation
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

import medvlp
from medvlp.data.base_preprocess import BasePreprocess
from medvlp.data.preprocess import Preprocess
from medvlp.errors import MedVLPError
from medvlp.io.atomic_write import atomic_folder
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method
from medvlp.methods.pretraining_objective import current_names
from medvlp.models import ReportTokenizer
from medvlp.training.assemble import Parts, assemble, finding_ids
from medvlp.training.recipe import Recipe

# Buffers that transformers once saved and now computes; old folders may hold them, and their absence loses nothing.
COMPUTED_BUFFERS = ("position_ids", "token_type_ids")
GENERATED_NOTICE = "Trained on generated data. Not for clinical use."


class ModelFolderError(MedVLPError, RuntimeError):
    """A folder that is not a loadable model; says what is missing or does not fit."""


@dataclass
class TrainedModel:
    """A loaded model.

    Attributes:
        method: in eval mode, on `device`.
        recipe, preprocess, tokenizer, book: as saved.
        findings: finding ids, the columns of its training labels.
        generated: True when it was trained on generated data; then `notice` must stand on everything made with it.
        card: all of card.json.
    """

    method: Method
    recipe: Recipe
    preprocess: Preprocess
    tokenizer: ReportTokenizer
    book: KnowledgeBook
    findings: tuple[str, ...]
    generated: bool
    card: dict[str, Any]
    device: torch.device

    @property
    def notice(self) -> str | None:
        """What must stand on every file made with this model, or None."""
        return GENERATED_NOTICE if self.generated else None


def save_model(
    folder: Path | str,
    method: Method,
    recipe: Recipe,
    preprocess: BasePreprocess,
    parts: Parts,
    *,
    generated: bool,
    store_hash: str,
    weights: Mapping[str, Tensor] | None = None,
    result: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model folder, whole or not at all; files of the folder that are not part of a model stay.

    Args:
        folder: where; made with its parents.
        method: whose weights are saved.
        recipe: what it was built from.
        preprocess: what its images went through.
        parts: its tokenizer and knowledge book.
        generated: True when the data were generated.
        store_hash: of the store it was trained on.
        weights: saved instead of the method's own, e.g. their moving average.
        result: free entries for the card, e.g. step and validation metric.

    Raises:
        DiskFullError: nothing was written, and what was there before is intact.
    """
    card = {
        "medvlp": medvlp.__version__,
        "method": recipe.method,
        "findings": list(parts.findings),
        "generated": generated,
        "notice": GENERATED_NOTICE if generated else None,
        "store": store_hash,
        "preprocess": preprocess.hash,
        **(result or {}),
    }
    with atomic_folder(Path(folder)) as staging:
        (staging / "model.safetensors").write_bytes(to_bytes(_separate(weights or method.state_dict())))
        write_parts(staging, method, recipe, preprocess, parts)
        (staging / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    return Path(folder)


def write_parts(folder: Path, method: Method, recipe: Recipe, preprocess: BasePreprocess, parts: Parts) -> None:
    """Write all of a model but its weights and card."""
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    preprocess.save(folder / "preprocess.json")
    parts.tokenizer.save(folder / "tokenizer")
    if method.reads_text:
        method.text_encoder.save_config(folder / "tokenizer")
    parts.book.to_yaml(folder / "knowledge.yaml")  # all of it: findings can be asked that it was not trained on


def read_parts(folder: Path, recipe: Recipe, preprocess: Preprocess) -> Parts:
    """The inverse of `write_parts`."""
    return Parts(
        tokenizer=ReportTokenizer.load(folder / "tokenizer"),
        book=KnowledgeBook.load(folder / "knowledge.yaml"),
        findings=finding_ids(recipe),
        image_size=preprocess.size,
    )


def load_model(folder: Path | str, device: str = "auto") -> TrainedModel:
    """Load a model folder, in eval mode. Nothing is downloaded and no pickled code runs.

    Args:
        folder: written by `save_model`.
        device: `auto` takes a GPU where there is one.

    Raises:
        ModelFolderError: the folder, or a file of it, is missing or damaged, or the weights do not fit the recipe.
    """
    folder = Path(folder)
    _check_complete(folder)
    recipe = Recipe.load(folder / "recipe.yaml")
    preprocess = Preprocess.load(folder / "preprocess.json")
    parts = read_parts(folder, recipe, preprocess)
    objective = assemble(recipe, parts, pretrained=False, text_config=folder / "tokenizer")
    try:
        weights = load_file(folder / "model.safetensors")
    except SafetensorError as error:
        raise ModelFolderError(f"{folder / 'model.safetensors'} is damaged or no safetensors file: {error}") from error
    _load_weights(objective.model, current_names(weights), folder)
    card = json.loads((folder / "card.json").read_text())
    target = device_named(device)
    return TrainedModel(
        method=objective.method.to(target).eval(),
        recipe=recipe,
        preprocess=preprocess,
        tokenizer=parts.tokenizer,
        book=parts.book,
        findings=parts.findings,
        generated=bool(card["generated"]),
        card=card,
        device=target,
    )


def device_named(name: str = "auto") -> torch.device:
    """As torch names it; `auto` takes a GPU where there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def with_notice(table: pd.DataFrame, notice: str | None) -> pd.DataFrame:
    """The table with the column `notice` where there is one: whoever opens the file alone has to see it."""
    return table if notice is None else table.assign(notice=notice)


def _check_complete(folder: Path) -> None:
    files = ("recipe.yaml", "model.safetensors", "tokenizer", "preprocess.json", "knowledge.yaml", "card.json")
    missing = [name for name in files if not (folder / name).exists()]
    if not missing:
        return
    if not folder.is_dir():
        raise ModelFolderError(f"There is no model folder {folder}.")
    hint = ""
    if missing == ["model.safetensors", "card.json"]:
        hint = " Its training has not saved a model yet: continue it with `medvlp pretrain ... --resume`."
    elif missing == ["model.safetensors"]:
        hint = " The weights did not come along: copy them, or train them again with `medvlp pretrain`."
    raise ModelFolderError(f"{folder} is not a complete model folder: {', '.join(missing)} missing.{hint}")


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
        *(f"{name} is not part of the method" for name in surplus if name not in harmless),
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
        warnings.warn(f"{folder}: ignored computed buffers of another version: {', '.join(harmless)}", stacklevel=3)
    model.load_state_dict({name: t for name, t in weights.items() if name not in harmless}, strict=False)


def _separate(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, contiguous, and each with memory of its own, as safetensors wants it."""
    return {name: t.detach().cpu().contiguous().clone() for name, t in weights.items()}
