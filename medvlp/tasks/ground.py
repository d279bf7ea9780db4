"""Where in an image a phrase is: a heat map at the size of the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvlp.io import Image
from medvlp.methods.base import Method
from medvlp.methods.query_network import match_finding
from medvlp.tasks.admission import Admission, TaskError, check_phrase, untrained
from medvlp.tasks.embed import require_text
from medvlp.tasks.image_files import ImageSource, ReadFile
from medvlp.tasks.inference import Forward, Progress, run_files
from medvlp.training.model_folder import TrainedModel


@dataclass(frozen=True, eq=False)
class GroundedFile:
    """What became of one file.

    Attributes:
        file: how it was read; `file.path`, `file.status` (`ok`, or why there is no map), `file.remark`.
        image: at its original size, or None where it could not be read.
        heat: float32 `[H, W]` of the image's own size, larger is likelier; None where it could not be read.
    """

    file: ReadFile
    image: Image | None = None
    heat: NDArray[np.float32] | None = None


def ground_files(
    model: TrainedModel,
    sources: Sequence[ImageSource],
    phrase: str,
    *,
    kind: HeatMapKind = "phrase",
    admission: Admission | None = None,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> Iterator[GroundedFile]:
    """Heat maps of one phrase on several files, of a kind of `heat_map_function`; a bad file is given with its reason.

    Raises:
        TaskError: no word of the phrase is known, or the method cannot make such a map of it.
    """
    check_phrase(model.book, phrase)
    named = match_finding(model.book, phrase)
    common = untrained([named], model.findings) if named else []
    ran = run_files(
        heat_map_function(model, phrase, kind),
        sources,
        model.preprocess,
        model.device,
        admission=admission or Admission.of(model),
        keep_image=True,
        batch_size=batch_size,
        progress=progress,
    )
    for file, heat in ran:
        if heat is None or file.image is None:
            yield GroundedFile(file)
            continue
        height, width = file.image.array.shape
        heat = model.preprocess.to_original(heat, (height, width))
        yield GroundedFile(replace(file, remarks=(*file.remarks, *common)), file.image, heat)


HeatMapKind = Literal["phrase", "evidence"]
_FINE = 4  # stride in pixels: finer maps of a network hold edges rather than meaning


def heat_map_function(model: TrainedModel, phrase: str, kind: HeatMapKind = "phrase") -> Forward:
    """A function from normalized images `[B, 1, H, W]` to heat maps `[B, h, w]`, larger is likelier.

    Args:
        model: pretrained.
        phrase: any words; for `evidence` the id or the name of a finding.
        kind: `phrase` is `Method.heat_map`, for methods that read text. `evidence` works for every method: it shows
            which parts of the image raise the score of a finding, which need not be where a radiologist would point.

    Raises:
        TaskError: `phrase` of a method without text, or `evidence` of a phrase that names no finding of the book.
    """
    method = model.method
    if kind == "phrase":
        require_text(model)
        return lambda images: method.heat_map(images, phrase)
    finding = _finding(method, phrase)

    def evidence(images: Tensor) -> Tensor:
        with method.bank.without_gradient() if method.reads_text else nullcontext():
            return evidence_map(method, images, finding)

    return evidence


def evidence_map(method: Method, images: Tensor, finding: str) -> Tensor:
    """What the score of a finding stands on: `[B, h, w]`, not negative.

        E_yx = relu sum_c A_cyx d logit / d A_cyx

    with A the finest feature map of stride 4 or more that the score depends on: HiResCAM (Draelos, Carin, 2020), which
    unlike Grad-CAM does not average the gradient over the map first, so that it may be read at a fine stride.

    Args:
        method: any; its `score_encoded` is what is explained. images: `[B, 1, H, W]`. finding: id.
    """
    with torch.enable_grad():
        features = method.image_encoder(images.detach().requires_grad_())
        logit = torch.logit(method.score_encoded(features, [finding])[:, 0], eps=1e-6).sum()
    encoder = method.image_encoder
    maps = [a for a, stride in zip(features.pyramid, encoder.pyramid_strides, strict=True) if stride >= _FINE]
    gradients = torch.autograd.grad(logit, maps, allow_unused=True)
    # A transformer's maps are copies on the way out, of which only the last is read.
    fine, gradient = next((a, g) for a, g in zip(maps, gradients, strict=True) if g is not None)
    return (fine * gradient).sum(1).clamp_min(0).detach()


def _finding(method: Method, phrase: str) -> str:
    """The finding that a phrase names, by id or in words, and that the method can score."""
    findings = method.book.findings if method.reads_text else method.findings
    finding = match_finding(method.book, phrase)
    if finding in findings:
        return finding
    near = difflib.get_close_matches(phrase.strip().lower(), [*map(method.book.name_of, findings), *findings], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise TaskError(f"evidence is shown for a finding, and {phrase!r} names none that the model knows{hint}")
