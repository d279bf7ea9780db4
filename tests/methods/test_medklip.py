"""MedKLIP: both terms against loops over images and findings, and that it learns what and where."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from medvlp.knowledge import PLACES, place_sentence
from medvlp.models import place_features


def by_loops(method, batch):
    """The two losses from the equations at the top of the file, one image and one finding at a time."""
    texts = [method.book.text(f, "definition") for f in method.findings]
    read = method.bank(texts).global_
    queries = method.to_query(read - read.mean(0))
    places = method.bank([place_sentence(p) for p in PLACES]).global_
    presence, where = [], []
    for b in range(len(batch)):
        features = method.image_encoder(batch.images[b : b + 1])
        for e in range(len(texts)):
            answer = method.decode_queries(features, queries[e][None, None])[0][0, 0]
            state = int(batch.findings[b, e])
            if state in (0, 1) or (state == -1 and method.options.unmentioned == "negative"):
                logit = method.presence(answer)[0]
                presence.append(F.binary_cross_entropy_with_logits(logit, torch.tensor(float(state == 1))))
            true = [p for p in range(len(PLACES)) if batch.places[b, e, p] == 1]
            if true:  # in evaluation all others, with the weight of seven
                others = [p for p in range(len(PLACES)) if p not in true]
                scores = places @ method.to_place(answer)
                wrong = 7 / len(others) * scores[others].exp().sum()
                where.append((torch.log(1 + wrong / scores[true].exp())).mean())
    return {"presence": torch.stack(presence).mean(), "place": torch.stack(where).mean()}


@pytest.mark.parametrize("unmentioned", ["negative", "ignore"])
def test_both_losses_equal_their_loops(build, make_batch, unmentioned):
    method, batch = build("medklip", unmentioned=unmentioned).eval(), make_batch(4)
    batch.places[0, 0, 7] = 1  # a finding in two places
    with torch.no_grad():
        for term, expected in by_loops(method, batch).items():
            torch.testing.assert_close(method(batch)[term], expected, rtol=1e-4, atol=1e-5)


def test_weights_scale_their_term(build, make_batch):
    one, other = build("medklip").eval(), build("medklip", presence_weight=3.0, place_weight=0.5).eval()
    first, second = one(make_batch()), other(make_batch())
    torch.testing.assert_close(3 * first["presence"], second["presence"])
    torch.testing.assert_close(0.5 * first["place"], second["place"])


def test_knowing_nothing_of_places_costs_log_8(build, make_batch):
    method = build("medklip").train()
    with torch.no_grad():
        method.to_place.weight.zero_()
        method.to_place.bias.zero_()
    assert method(make_batch())["place"].item() == pytest.approx(math.log(8), abs=1e-5)


def test_a_finding_unmentioned_everywhere_sends_no_gradient_with_ignore(build, make_batch):
    method, batch = build("medklip", unmentioned="ignore"), make_batch()
    batch.findings[:, 1], batch.places[:, 1] = -1, -1
    queries = method.encode_queries(method.trained_texts).vectors.detach().requires_grad_()
    encoded = method.encode(batch)
    encoded = replace(encoded, knowledge=replace(encoded.knowledge, vectors=queries))
    sum(method.losses(batch, encoded).values()).backward()
    assert not queries.grad[1].any()
    assert queries.grad[[0, 2]].flatten(1).any(1).all()


@pytest.mark.parametrize("place_weight", [1.0, 0.0])
def test_it_learns_on_which_side_a_finding_is(build, make_batch, monkeypatch, place_weight):
    """A column of patches that stands out says where the effusion is; without the place contrast nobody learns it."""
    method, batch = build("medklip", negatives=50, place_weight=place_weight), make_batch(8)
    method.text_encoder.requires_grad_(False)
    method.text_encoder.frozen = True
    features = method.image_encoder(batch.images)
    features.patches = torch.zeros_like(features.patches)
    features.patches.unflatten(1, (4, 4))[:4, :, 3] = features.patches.unflatten(1, (4, 4))[4:, :, 0] = 1.0
    monkeypatch.setattr(method.image_encoder, "forward", lambda images: features)
    left, right = PLACES.index("left_pleural"), PLACES.index("right_pleural")
    batch.findings[:], batch.places[:] = -1, -1
    batch.findings[:, 0] = 1
    batch.places[:4, 0, left] = batch.places[4:, 0, right] = 1
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        sum(method(batch).values()).backward()
        optimizer.step()
    with torch.no_grad():
        answers, _ = method.decode_queries(features, method.encode_queries(method.trained_texts).vectors)
        where = method.to_place(answers)[:, 0] @ place_features(method.bank).t()
    found = (where[:, left] > where[:, right]) == (torch.arange(8) < 4)
    assert found.all() == (place_weight > 0)
