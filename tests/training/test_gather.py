"""N gloo ranks on B/N images give the losses and gradients of one rank on B, and hold no B x B matrix."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

import medvlp.methods.devide
import medvlp.methods.dual_encoder
import medvlp.methods.unicl
from medvlp.data.batch import Batch
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method, build_method
from medvlp.models import ImageEncoder, ReportTokenizer, TextEncoder
from medvlp.objectives import info_nce
from medvlp.training.gather import AllRanks

RANKS, IMAGES = 2, 6
FINDINGS = ("pleural_effusion", "pneumothorax", "edema")
SENTENCES = ("There is pleural effusion.", "No pneumothorax.", "Mild edema.", "The patient is rotated.")
STATES = ((1, -1, -1), (-1, 0, -1), (-1, -1, 1), (-1, -1, -1))
METHODS = {
    "clip": {"false_negatives": "same_labels"},
    "clip with own texts only": {"false_negatives": "identity"},
    "devide": {"decoder_width": 16, "dim": 16, "unmentioned": "ignore"},
    "devide with negatives": {
        "decoder_width": 16,
        "dim": 16,
        "unmentioned": "negative",
        "sentence_target": "same_text",
    },
    "unimodal": {"dim": 16},
    "gloria": {"dim": 16, "local_dim": 16},
    "mgca": {"dim": 16, "hidden": 16, "prototypes": 8},
    "carzero": {"dim": 16, "width": 16, "layers": 1},
    "mflag": {"dim": 16, "hidden": 16},
    "dlilp": {"dim": 16},
    "unicl": {"dim": 16},
    "conceptclip": {"dim": 16, "start_bias": -2.0, "concepts": 2},
    "convirt": {"dim": 16, "hidden": 16},
    "biovil": {"dim": 16, "hidden": 16, "masked_rate": 0.3},
    "medclip": {"dim": 16},
    "keep": {"dim": 16},
}


def tokenizer() -> ReportTokenizer:
    return ReportTokenizer.train(list(SENTENCES), vocab_size=100, min_frequency=1)


def build(name: str) -> Method:
    """Without batch norm, whose statistics are a rank's own; in evaluation mode, so that nothing is drawn."""
    torch.manual_seed(0)
    tokens = tokenizer()
    method = build_method(
        name.split()[0],
        image_encoder=ImageEncoder("test_convnext", image_size=32, dim=16),
        text_encoder=TextEncoder("small", vocab_size=tokens.vocab_size, layers=1, width=16, heads=2),
        tokenizer=tokens,
        findings=FINDINGS,
        book=KnowledgeBook.load("default"),
        options=METHODS[name],
    )
    return method.eval()


def whole_batch() -> Batch:
    """Report i says sentences i, i + 1 and i + 2 of the four; the last image has no report."""
    torch.manual_seed(1)
    said = [[(i + j) % len(SENTENCES) for j in range(3)] for i in range(IMAGES)]
    tokens, mask = tokenizer()([" ".join(SENTENCES[s] for s in row) for row in said], 48)
    sentences, sentence_mask = tokenizer()([SENTENCES[s] for row in said for s in row], 16)
    states = torch.tensor([[STATES[s] for s in row] for row in said], dtype=torch.int8)
    mask[-1] = False
    concepts = torch.tensor([[[1, 3, s, max(STATES[s])] for s in row] for row in said])
    return Batch(
        images=torch.randn(IMAGES, 1, 32, 32),
        report_tokens=tokens,
        report_mask=mask,
        sentence_tokens=sentences.unflatten(0, (IMAGES, 3)),
        sentence_mask=sentence_mask.unflatten(0, (IMAGES, 3)),
        findings=states.amax(1),
        sentence_findings=states,
        text_group=torch.arange(IMAGES) % len(SENTENCES),
        image_ids=[""] * IMAGES,
        study_ids=[""] * IMAGES,
        patient_ids=[""] * IMAGES,
        concepts=concepts,
    )


def share(batch: Batch, rank: int) -> Batch:
    rows = slice(rank * IMAGES // RANKS, (rank + 1) * IMAGES // RANKS)
    parts = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return Batch(**{name: None if value is None else value[rows] for name, value in parts.items()})


def losses_and_gradients(method: Method, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    losses = method.losses(batch, method.encode(batch))
    sum(losses.values()).backward()  # type: ignore[union-attr]
    gradients = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    return {name: loss.detach() for name, loss in losses.items()}, gradients


def run_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    shapes: list[tuple[int, ...]] = []

    def noting_shapes(logits: Tensor, *arguments: Any, **settings: Any) -> Tensor:
        shapes.append(tuple(logits.shape))
        return info_nce(logits, *arguments, **settings)

    for module in (medvlp.methods.dual_encoder, medvlp.methods.devide, medvlp.methods.unicl):
        module.info_nce = noting_shapes
    result: dict[str, Any] = {"ids": AllRanks().gather(torch.tensor([[rank, 7]]))}
    for name in METHODS:
        method = build(name)
        method.ranks = AllRanks()
        losses, gradients = losses_and_gradients(method, share(whole_batch(), rank))
        for tensor in (*losses.values(), *gradients.values()):
            dist.all_reduce(tensor)
            tensor /= RANKS
        result[name] = losses, gradients
    result["shapes"] = shapes
    if rank == RANKS - 1:
        torch.save(result, f"{folder}/result.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(run_rank, (str(folder),), nprocs=RANKS)
    return torch.load(folder / "result.pt")


@pytest.mark.parametrize("name", METHODS)
def test_ranks_together_equal_one(of_ranks: dict[str, Any], name: str) -> None:
    expected_losses, expected_gradients = losses_and_gradients(build(name), whole_batch())
    losses, gradients = of_ranks[name]
    for term, expected in expected_losses.items():
        torch.testing.assert_close(losses[term], expected, rtol=1e-5, atol=1e-6, msg=term)
    assert gradients.keys() == expected_gradients.keys()
    for parameter, expected in expected_gradients.items():
        difference, size = (gradients[parameter] - expected).abs().max(), expected.abs().max()
        assert difference <= 1e-4 * size + 1e-6, parameter  # sums in another order, in float32


def test_a_rank_scores_its_own_images_against_all_columns(of_ranks: dict[str, Any]) -> None:
    texts, sentences = (IMAGES // RANKS, IMAGES), (IMAGES // RANKS, 3 * IMAGES)
    devide = [texts, sentences]
    mgca, carzero = [texts], 3 * [texts]
    with_labels = (IMAGES // RANKS, IMAGES + len(FINDINGS))
    assert of_ranks["shapes"] == [texts, texts, *devide, *devide, *mgca, *carzero, texts, with_labels, texts, texts]


def test_rows_come_in_the_order_of_the_ranks(of_ranks: dict[str, Any]) -> None:
    assert of_ranks["ids"].tolist() == [[rank, 7] for rank in range(RANKS)]
