"""What makes a method more than a contrast, each against itself without it, on generated tensors.

25 made-up diseases with the ids of real ones: each is a density and a shape ("A dark ring opacity."), and a picture of
it holds the codes of both in one patch. Names say nothing of how a disease looks. Five of the 25 are in no training
picture. A mechanism has to be above its ablation outside the 95 % interval over pictures. The streams of MeDSLIP are in
`test_medslip.py`, the latent of M-FLAG in `test_mflag.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from medvlp.data.batch import Batch
from medvlp.knowledge import BookText, KnowledgeBook
from medvlp.methods.auxiliary.base import AUXILIARY
from medvlp.methods.base import MethodParts, build_method
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.metrics import bootstrap_values, image_mean, macro_auroc
from medvlp.models import ReportTokenizer, TextEncoder
from medvlp.objectives import attention_region

SIDE, WIDTH = 4, 16  # patches of a picture, and numbers of a patch
DENSITIES = ("white", "dark", "grey", "striped", "mottled")
SHAPES = ("round", "linear", "ring", "wedge", "patchy")
IDS = (
    "emphysema",
    "bronchiectasis",
    "mucus_plugging",
    "tree_in_bud",
    "mosaic_attenuation",
    "bulla",
    "aortic_elongation",
    "aortic_atheromatosis",
    "aortic_dilatation",
    "aortic_dissection",
    "fracture",
    "scoliosis",
    "kyphosis",
    "osteopenia",
    "axial_hyperostosis",
    "bone_deformity",
    "hernia",
    "cardiomegaly",
    "pneumothorax",
    "pleural_effusion",
    "nodule",
    "edema",
    "atelectasis",
    "hyperinflation",
    "pneumoperitoneum",
)
NAMES = tuple(a + b for a in ("vela", "ruma", "tiso", "keno", "pada") for b in ("lor", "mix", "dun", "fes", "gab"))
LOOKS = tuple(f"A {density} {shape} opacity." for density in DENSITIES for shape in SHAPES)
UNSEEN = tuple(range(0, 25, 6))  # one of each density and of each shape
SEEN = tuple(f for f in range(25) if f not in UNSEEN)
CHATTER = ("ami", "beso", "cudu", "doli", "efa", "gino", "hule", "jato")  # words that go with no picture
CODES = torch.randn(10, WIDTH, generator=torch.Generator().manual_seed(9))
BOOK = KnowledgeBook(
    "made up",
    ("definition", "radiographic"),
    dict(zip(IDS, NAMES, strict=True)),
    {
        id_: {"definition": BookText(f"{name} is a disease of the chest."), "radiographic": BookText(look)}
        for id_, name, look in zip(IDS, NAMES, LOOKS, strict=True)
    },
)
TOKENIZER = ReportTokenizer.train(
    [*LOOKS, *CHATTER, *(f"{name} is a disease of the chest. There is {name}. No {name}." for name in NAMES)],
    vocab_size=400,
    min_frequency=1,
)


def pictures(n, seed, findings, most=2):
    """Pictures of at most `most` diseases each, and the patch `[n, 25]` that each is in; -1: it is not there."""
    draw, noise = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    patches, where = 0.3 * torch.randn(n, SIDE**2, WIDTH, generator=noise), torch.full((n, 25), -1)
    for picture in range(n):
        ill = draw.choice(findings, draw.integers(most + 1), replace=False)
        for finding, patch in zip(ill, draw.choice(SIDE**2, len(ill), replace=False), strict=True):
            patches[picture, patch] += CODES[finding // 5] + CODES[5 + finding % 5]
            where[picture, finding] = int(patch)
    return F.fold(patches.mT, (4 * SIDE,) * 2, 4, stride=4), where


def batch_of(images, where, seed, findings=SEEN, chatter=0):
    """What reports say of pictures: two sentences of what is there, one that denies, and words without meaning."""
    draw, n, said = np.random.default_rng(seed), len(images), []
    for row in where:
        there = [f for f in findings if row[f] >= 0]
        denied = draw.choice([f for f in findings if f not in there])
        said.append([*((f"There is {NAMES[f]}.", f, 1) for f in there), (f"No {NAMES[denied]}.", denied, 0)][:3])
        said[-1] += [("", -1, -1)] * (3 - len(said[-1]))
    words = [" ".join([*(s for s, _, _ in row), *draw.choice(CHATTER, chatter)]).strip() for row in said]
    reports, report_mask = TOKENIZER(words, 32)
    tokens, mask = (x.unflatten(0, (n, 3)) for x in TOKENIZER([s for row in said for s, _, _ in row], 8))
    states = torch.full((n, 3, len(findings)), -1, dtype=torch.int8)
    for i, row in enumerate(said):
        for j, (_, finding, state) in enumerate(row):
            if finding >= 0:
                states[i, j, findings.index(finding)] = state
    mask &= (states >= 0).any(2, keepdim=True)  # what fills up has no token
    ids, group = [str(i) for i in range(n)], torch.tensor([words.index(w) for w in words])
    return Batch(images, reports, report_mask, tokens, mask, states.amax(1), states, group, ids, ids, ids)


@pytest.fixture(scope="module")
def small(patches_of_codes):
    """`small(name, findings, auxiliary, **options)`: a method with small fixed weights, and auxiliary losses."""

    def make(name, findings=SEEN, auxiliary=None, **options):
        torch.manual_seed(0)
        tower = TextEncoder("small", vocab_size=TOKENIZER.vocab_size, layers=1, width=32, heads=2)
        parts = MethodParts(patches_of_codes, tower, TOKENIZER, tuple(IDS[f] for f in findings), BOOK)
        method = build_method(name, **vars(parts), options=options)
        kinds = {n: AUXILIARY.get(n) for n in auxiliary or ()}
        chosen = {n: kind(parts, kind.Options(**auxiliary[n])) for n, kind in kinds.items()}
        return PretrainingObjective(method, chosen) if chosen else method

    return make


def train(method, batches, learning_rate=5e-3):
    optimizer = torch.optim.AdamW(method.train().parameters(), lr=learning_rate)
    for batch in batches:
        optimizer.zero_grad()
        sum(method(batch).values()).backward()
        optimizer.step()
    return method.eval()


def fresh(steps, findings=SEEN):
    """Batches of pictures that are never shown twice."""
    return (batch_of(*pictures(32, step, findings), step, findings) for step in range(steps))


def above(first, second, truth):
    """Macro AUROC of the first scores, and the low end of the interval of its difference to that of the second."""
    known, each = np.ones_like(truth), np.arange(len(truth))
    draws = [bootstrap_values(macro_auroc, each, truth, scores, known, n=200) for scores in (first, second)]
    return float(macro_auroc(truth, first, known)), np.percentile(draws[0] - draws[1], 2.5)


@pytest.fixture(scope="module")
def devide(small):
    """`devide(**options)`: trained once for each ablation."""
    kept = {}

    def make(**options):
        key = repr(options)
        if key not in kept:
            small_decoder = {"decoder_width": 32, "decoder_layers": 1, "decoder_heads": 2, "dim": 32}
            kept[key] = train(small("devide", **small_decoder, **options), fresh(100))
        return kept[key]

    return make


@torch.no_grad()
def scores(method, images, findings):
    return method.score(images, findings).numpy()


@pytest.mark.parametrize("without", ["name", "definition"])
def test_devide_finds_what_it_never_saw_by_its_descriptions(devide, without):
    images, where = pictures(500, 10_000, range(25), most=3)
    asked, truth = [IDS[f] for f in UNSEEN], (where[:, list(UNSEEN)] >= 0).numpy()
    full, ablated = (scores(devide(**options), images, asked) for options in ({}, {"facets": (without,)}))
    auroc, least = above(full, ablated, truth)
    assert auroc > 0.85
    assert least > 0.1
    assert macro_auroc(truth, ablated, np.ones_like(truth)) < 0.7


def hits(method, phrase):
    """For each disease that is there, 1.0 where the patch most like a phrase is the one that it is in."""
    method.options = method.options.model_copy(update={"grounding": "sentence"})
    images, where = pictures(300, 20_000, SEEN)
    found = []
    for finding in SEEN:
        ill = where[:, finding] >= 0
        hottest = method.heat_map(images[ill], phrase.format(NAMES[finding])).flatten(1).argmax(1)
        found.append(hottest == where[ill, finding])
    return torch.cat(found).numpy() * 1.0


def least_gain(first, second):
    """Low end of the interval of the mean difference."""
    return np.percentile(bootstrap_values(image_mean, np.arange(len(first)), first - second, n=200), 2.5)


@pytest.mark.parametrize("phrase", ["There is {}.", "{}"])
def test_devide_points_by_its_patch_alignment(devide, phrase):
    full, ablated = (hits(devide(**o), phrase) for o in ({}, {"patch_weight": 0.0}))
    assert full.mean() > 0.8
    assert least_gain(full, ablated) > 0.3


@torch.no_grad()
def pasted_right(method):
    """For each sentence that is pasted, 1.0 where its region is hottest at the patch of what it says is there."""
    images, where = pictures(300, 30_000, SEEN)
    cutmix = method.auxiliary["medcutmix"].train()
    torch.manual_seed(3)
    change = cutmix.augment(batch_of(images, where, 30_000), method.method.text_encoder)
    change.augment_features(method.method.image_encoder(images))
    drawn, mixed = change.drawn, change.strength > 0
    donor = drawn.image_index[change.chosen]
    region = attention_region(change.vectors[change.chosen], change._patches[donor], cutmix.attention_scale.scale)
    says = torch.tensor(SEEN)[(drawn.states[change.chosen] == 1).int().argmax(1)]
    return (region.argmax(1) == where[donor, says])[mixed].numpy() * 1.0


def test_medcutmix_mixes_where_the_pasted_sentence_points(small):
    taught, untaught = (small("clip", auxiliary={"medcutmix": {"share": 1.0}}) for _ in range(2))
    train(taught, fresh(100))
    full, ablated = (pasted_right(method) for method in (taught, untaught))
    assert len(full) > 100
    assert full.mean() > 0.8
    assert least_gain(full, ablated) > 0.3


def test_same_labels_beats_identity_where_reports_repeat_in_other_words(small, take):
    """Five diseases and 500 pictures, again and again: most reports say what many others say, with other chatter."""
    few = (0, 6, 12, 18, 24)
    seen = batch_of(*pictures(500, 40_000, few), 1, few, chatter=3)
    draw = np.random.default_rng(0)
    rows = [torch.from_numpy(draw.permutation(500)[:32]) for _ in range(300)]
    images, where = pictures(500, 50_000, few)
    found = []
    for target in ("same_labels", "identity"):
        method = train(small("clip", few, false_negatives=target), (take(seen, row) for row in rows))
        found.append(scores(method, images, [IDS[f] for f in few]))
    auroc, least = above(*found, (where[:, list(few)] >= 0).numpy())
    assert auroc > 0.9
    assert least > 0
