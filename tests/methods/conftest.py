"""A small world for methods: a tokenizer trained on a few reports, tiny encoders, and a batch that they can read."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from medvlp.data.batch import Batch
from medvlp.knowledge import PLACES, KnowledgeBook
from medvlp.methods.base import build_method
from medvlp.models import ImageEncoder, ImageFeatures, ReportTokenizer, TextEncoder

FINDINGS = ("pleural_effusion", "pneumothorax", "cardiomegaly", "edema")
SENTENCES = (
    "There is a small left pleural effusion.",
    "No pneumothorax.",
    "The heart is enlarged.",
    "No pulmonary edema.",
    "Comparison is made to the prior study.",
)
# What each of the five sentences states of the four findings.
STATES = ((1, -1, -1, -1), (-1, 0, -1, -1), (-1, -1, 1, -1), (-1, -1, -1, 0), (-1, -1, -1, -1))

SPOKEN = ("pleural effusion", "pneumothorax", "heart is enlarged", "pulmonary edema", None)  # words of the finding
WHERE = {"pleural_effusion": "left_pleural", "pneumothorax": "left_apical_lung", "cardiomegaly": "heart_size"}


@pytest.fixture(scope="session")
def book():
    return KnowledgeBook.load("default")


@pytest.fixture(scope="session")
def tokenizer(book):
    texts = [text for row in book.texts(book.findings, ("definition", "radiographic")) for text in row if text]
    return ReportTokenizer.train([*SENTENCES, *texts], vocab_size=400, min_frequency=1)


class CountOps(TorchDispatchMode):
    """Counts what is sent to the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def step():
    """`step(method, batch)`: forward and backward; returns the sum of the losses."""

    def run(method, batch):
        total = sum(method(batch).values())
        total.backward()
        return total

    return run


@pytest.fixture
def operations(step):
    """`operations(method, batch)`: how many operations a step sends to the device."""

    def count(method, batch):
        with CountOps() as ops:
            step(method, batch)
        return ops.count

    return count


@pytest.fixture
def take():
    """`take(batch, rows)`: some images of a batch, in that order, with all that belongs to them."""

    def cut(batch, rows):
        values = {field.name: getattr(batch, field.name) for field in fields(batch)}
        ids = {name: [value[row] for row in rows] for name, value in values.items() if isinstance(value, list)}
        tensors = {name: value[rows] for name, value in values.items() if isinstance(value, torch.Tensor)}
        return replace(batch, **ids, **tensors)

    return cut


@pytest.fixture
def first(take):
    """`first(batch, n)`: the first n images of a batch."""
    return lambda batch, n: take(batch, torch.arange(n))


@pytest.fixture
def losses_of_steps():
    """`losses_of_steps(method, batch, term)`: the losses that the same step has again and again, by `training`."""

    def again(method, batch, term, times=4):
        return {
            training: {method.train(training)(batch)[term].item() for _ in range(times)} for training in (False, True)
        }

    return again


class PatchesOfCodes(nn.Module):
    """Images of 4 x 4 patches of 16 numbers: an encoder that has nothing to learn, patches are what was drawn."""

    dim, image_size, grid, to_global = 16, 16, (4, 4), None

    def forward(self, images):
        patches = F.unfold(images, 4, stride=4).mT
        return ImageFeatures(patches.mean(1), patches, self.grid, [])


@pytest.fixture(scope="session")
def patches_of_codes():
    """An image encoder; see `PatchesOfCodes`."""
    return PatchesOfCodes()


@pytest.fixture
def losses_on(monkeypatch):
    """`losses_on(method, batch, patches)`: the losses when the image encoder gives these patches."""

    def compute(method, batch, patches):
        encode = method.image_encoder.forward
        with monkeypatch.context() as planted:
            planted.setattr(method.image_encoder, "forward", lambda images: replace(encode(images), patches=patches))
            return method(batch)

    return compute


@pytest.fixture
def build(book, tokenizer):
    """`build(name, **options)`: a small method with fixed weights."""

    def make(name, findings=FINDINGS, **options):
        torch.manual_seed(0)
        return build_method(
            name,
            image_encoder=ImageEncoder("test_resnet", image_size=64, dim=32),
            text_encoder=TextEncoder("small", vocab_size=tokenizer.vocab_size, layers=1, width=32, heads=2),
            tokenizer=tokenizer,
            findings=findings,
            book=book,
            options=options,
        )

    return make


@pytest.fixture
def make_batch(tokenizer):
    """`make_batch(n)`: n images; report i says sentences i, i + 1 and i + 2 of the five."""

    def make(n=6):
        torch.manual_seed(1)
        said = [[(i + j) % len(SENTENCES) for j in range(3)] for i in range(n)]
        reports, report_mask = tokenizer([" ".join(SENTENCES[s] for s in row) for row in said], 48)
        sentences, mask = tokenizer([SENTENCES[s] for row in said for s in row], 16)
        states = torch.tensor([[STATES[s] for s in row] for row in said], dtype=torch.int8)
        ids = [str(i) for i in range(n)]
        places = torch.full((n, len(FINDINGS), len(PLACES)), -1, dtype=torch.int8)
        for finding, place in WHERE.items():
            column = FINDINGS.index(finding)
            places[:, column, PLACES.index(place)] = states.amax(1)[:, column]
        concepts = torch.tensor([[0, 0, -1, -1]]).repeat(n, 3, 1)
        for i, row in enumerate(said):
            text = " ".join(SENTENCES[s] for s in row)
            stops = tokenizer.offsets([text], 48)[0][:, 1]
            for j, s in enumerate(row):
                if SPOKEN[s] is not None:
                    begin = text.index(SPOKEN[s])
                    inside = [t for t, stop in enumerate(stops) if begin < stop <= begin + len(SPOKEN[s])]
                    concepts[i, j] = torch.tensor([inside[0], inside[-1] + 1, s, max(STATES[s])])
        return Batch(
            images=torch.randn(n, 1, 64, 64),
            report_tokens=reports,
            report_mask=report_mask,
            sentence_tokens=sentences.unflatten(0, (n, 3)),
            sentence_mask=mask.unflatten(0, (n, 3)),
            findings=states.amax(1),
            sentence_findings=states,
            text_group=torch.arange(n) % len(SENTENCES),
            image_ids=ids,
            study_ids=ids,
            patient_ids=ids,
            places=places,
            concepts=concepts,
        )

    return make
