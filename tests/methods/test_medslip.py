"""MeDSLIP: its five losses written out, what the split keeps apart, and its questions of findings and of places."""

import math

import pytest
import torch
from torch.nn import functional as F

from medvlp.knowledge import PLACES, place_sentence
from medvlp.methods.base import build_method
from medvlp.metrics import macro_auroc
from medvlp.models import TextEncoder, grid_position
from medvlp.objectives import prototypical_contrast

TERMS = ("finding", "place", "finding_prototype", "place_prototype", "relation")


def written_out(method, batch):
    """The five losses, one image, finding and place after the other."""
    o, places = method.options, batch.places
    texts = method.bank([method.book.text(f, "definition") for f in method.findings]).global_
    sentences = method.bank([place_sentence(p) for p in PLACES]).global_
    findings_book, places_book = texts - texts.mean(0), sentences - sentences.mean(0)
    features = method.image_encoder(batch.images)
    gate = method.split.gate(features.patches).sigmoid()
    x_f, x_a = gate * features.patches, (1 - gate) * features.patches
    queries = method.to_query(findings_book), method.to_query(places_book)
    at = grid_position(features.grid, o.decoder_width, x_f)
    f = method.decoder(queries[0], method.to_memory(x_f), at)[0]
    a = method.place_decoder(queries[1], method.to_place_memory(x_a), at)[0]
    u_f, u_a = method.finding_to_text(f), method.place_to_text(a)
    cost = {term: [] for term in TERMS}
    for b in range(len(batch)):
        for e in range(len(method.findings)):
            if batch.findings[b, e] != 2:  # silence is absence
                label = torch.tensor(float(batch.findings[b, e] == 1))
                cost["finding"].append(F.binary_cross_entropy_with_logits(method.presence(f[b, e])[0], label))
            cost["finding_prototype"] += [against(u_f[b, e], places[b, e], places_book, o.negatives)]
            for p in range(len(PLACES)):
                if places[b, e, p] in (0, 1):
                    logit = a[b, p] @ f[b, e] / math.sqrt(o.decoder_width)
                    cost["relation"].append(F.binary_cross_entropy_with_logits(logit, places[b, e, p].float()))
        for p in range(len(PLACES)):
            said = places[b, :, p].tolist()
            if 1 in said or 2 not in said:
                label = torch.tensor(float(1 in said))
                cost["place"].append(F.binary_cross_entropy_with_logits(method.place_presence(a[b, p])[0], label))
            cost["place_prototype"] += [against(u_a[b, p], places[b, :, p], findings_book, o.negatives)]
    return {term: torch.stack([c for c in costs if c is not None]).mean() for term, costs in cost.items()}


def against(query, states, book, k):
    """ProtoCL of one query, with all other rows in the weight of k of them."""
    if not (states == 1).any():
        return None
    others = states < 1
    share = min(k, int(others.sum())) / max(1, int(others.sum()))
    right = query @ book[states == 1].mean(0)
    return (right.exp() + share * (book[others] @ query).exp().sum()).log() - right


def test_the_loss_is_that_of_the_paper(build, make_batch):
    method, batch = build("medslip", negatives=3).eval(), make_batch(5)
    batch.places[0, 0, 7], batch.places[1, 2, 3], batch.findings[2, 1] = 2, 1, 2
    losses, expected = method(batch), written_out(method, batch)
    assert set(losses) == set(TERMS)
    for term in TERMS:
        torch.testing.assert_close(losses[term], expected[term], msg=lambda m, t=term: f"{t}: {m}")


def test_weights_scale_their_terms(build, make_batch):
    once = build("medslip").eval()(make_batch())
    twice = build("medslip", place_weight=2.0, prototype_weight=2.0, relation_weight=2.0).eval()(make_batch())
    for term in TERMS:
        torch.testing.assert_close(twice[term], (1 if term == "finding" else 2) * once[term])


@pytest.mark.parametrize("gate", ["sigmoid", "linear"])
def test_the_streams_add_up_to_the_patches(build, make_batch, gate):
    method = build("medslip", gate=gate).eval()
    features = method.image_encoder(make_batch(2).images)
    what, where = method.streams(features)
    torch.testing.assert_close(what.patches + where.patches, features.patches)
    assert not torch.allclose(what.patches, where.patches)


def test_answers_of_zero_cost_a_coin_for_each_relation(build, make_batch):
    found, there = torch.zeros(6, 4, 128), torch.randn(6, len(PLACES), 128)
    assert build("medslip")._relation_loss(make_batch(), found, there).item() == pytest.approx(math.log(2), abs=1e-6)


def test_streams_and_transposed_relations_swap_the_two_prototype_losses():
    torch.manual_seed(0)
    streams = torch.randn(3, 5, 8, dtype=torch.float64), torch.randn(3, 7, 8, dtype=torch.float64)
    books = torch.randn(5, 8, dtype=torch.float64), torch.randn(7, 8, dtype=torch.float64)
    states = torch.randint(-1, 3, (3, 5, 7))

    def both(first, second, relations, book_of_first, book_of_second):
        """As `losses` has them."""
        return (
            prototypical_contrast(first, relations, book_of_second, 3, sample=False),
            prototypical_contrast(second, relations.mT, book_of_first, 3, sample=False),
        )

    there, back = both(*streams, states, *books), both(*streams[::-1], states.mT, *books[::-1])
    assert there[0] == back[1]
    assert there[1] == back[0]
    assert there[0] != there[1]


def test_an_unstated_relation_sends_no_gradient_and_silence_may_count(build, make_batch):
    batch = make_batch()
    batch.places[:, 1] = -1
    for policy, expected in (("ignore", False), ("negative", True)):
        method = build("medslip", unstated_relations=policy).eval()
        found = torch.randn(6, 4, 128, requires_grad=True)
        method._relation_loss(batch, found, torch.randn(6, len(PLACES), 128)).backward()
        assert bool(found.grad[:, 1].any()) is expected
        assert found.grad[:, 0].any()


def test_zero_shot_asks_the_pathology_stream_for_what_was_never_trained_on(build, make_batch):
    method, images = build("medslip").eval(), make_batch(3).images
    scores = method.score(images, ["pneumothorax", "pacemaker"])
    book = method.bank([method.book.text(f, "definition") for f in (*method.findings, "pacemaker")]).global_
    what, _ = method.streams(method.image_encoder(images))
    answers = method._decode_findings(what, (book - book[:4].mean(0))[[1, 4]])
    torch.testing.assert_close(scores, method.presence(answers)[..., 0].sigmoid())
    with torch.no_grad():
        method.place_presence.bias += 1.0
        method.to_place_memory[0].weight += 1.0
    torch.testing.assert_close(method.score(images, ["pneumothorax", "pacemaker"]), scores)


def test_places_are_asked_of_the_anatomy_stream_by_name(build, make_batch):
    method, images = build("medslip").eval(), make_batch(3).images
    every = method.score_places(images)
    assert every.shape == (3, 51)
    torch.testing.assert_close(method.score_places(images, ["spine", "trachea"]), every[:, [35, 0]])
    with pytest.raises(KeyError, match="left_pleural"):
        method.score_places(images, ["left_plural"])


def test_a_heat_map_is_where_the_pathology_stream_looks(build, make_batch):
    method, images = build("medslip").eval(), make_batch(2).images
    torch.testing.assert_close(method.heat_map(images, "pleural effusion").sum((1, 2)), torch.ones(2))


def test_images_and_texts_share_a_space(build, make_batch):
    method, images = build("medslip").eval(), make_batch(2).images
    image, text = method.encode_images(images), method.encode_texts(["a left pleural effusion"])
    assert image.global_.shape[1] == text.global_.shape[1] == image.patches.shape[2] == text.tokens.shape[2]


# ------------------------------------------------------------------------------------------------------- the mechanism

SHOWN = ("left_upper_lung", "right_upper_lung", "left_lower_lung", "right_lower_lung")
SIDE = 4  # patches


def generated(make_batch, n, seed):
    """n images with one or two findings in some of four places, and what their reports would say."""
    draw = torch.Generator().manual_seed(seed)
    codes = 3 * torch.randn(4, 16, generator=torch.Generator().manual_seed(9))
    batch = make_batch(n)
    patches = 0.3 * torch.randn(n, SIDE, SIDE, 16, generator=draw)
    there = torch.rand(n, 4, 4, generator=draw) < 0.15  # finding e in quadrant p
    for p in range(4):
        y, x = 2 * (p // 2), 2 * (p % 2)
        patches[:, y : y + 2, x : x + 2] += (there[:, :, p].float() @ codes)[:, None, None]
    batch.images = F.fold(patches.flatten(1, 2).mT, (4 * SIDE,) * 2, 4, stride=4)
    batch.places = torch.full((n, 4, len(PLACES)), -1, dtype=torch.int8)
    batch.places[:, :, [PLACES.index(p) for p in SHOWN]] = there.to(torch.int8)
    batch.findings = there.any(2).to(torch.int8)
    return batch, there.any(1)


@pytest.fixture
def trained(book, tokenizer, make_batch, patches_of_codes):
    """`trained(gate)`: a small MeDSLIP with a frozen text tower, after a few steps on generated tensors."""

    def make(gate, steps):
        torch.manual_seed(0)
        tower = TextEncoder("small", vocab_size=tokenizer.vocab_size, layers=1, width=32, heads=2, freeze=True)
        method = build_method(
            "medslip",
            image_encoder=patches_of_codes,
            text_encoder=tower,
            tokenizer=tokenizer,
            findings=("pleural_effusion", "pneumothorax", "cardiomegaly", "edema"),
            book=book,
            options={"gate": gate, "decoder_width": 32, "decoder_layers": 1},
        ).train()
        optimizer = torch.optim.AdamW(method.parameters(), lr=1e-2)
        for step in range(steps):
            optimizer.zero_grad()
            sum(method(generated(make_batch, 32, step)[0]).values()).backward()
            optimizer.step()
        return method.eval()

    return make


@torch.no_grad()
def above(method, make_batch):
    """AUROC of the anatomy stream on place questions, and by how much it is above the pathology stream's."""
    batch, truth = generated(make_batch, 256, 1000)
    anatomy, pathology = (
        float(macro_auroc(truth, method.score_places(batch.images, SHOWN, stream), torch.ones_like(truth)))
        for stream in ("anatomy", "pathology")
    )
    return anatomy, anatomy - pathology


def test_the_anatomy_stream_answers_place_questions_above_the_pathology_stream(trained, make_batch):
    auroc, gain = above(trained("sigmoid", 80), make_batch)
    assert auroc > 0.95
    assert gain > 0.1


def test_without_the_split_it_does_not(trained, make_batch):
    auroc, gain = above(trained("none", 120), make_batch)
    assert auroc > 0.7  # one stream learns the places too, but there is no other to be above
    assert gain == 0
