"""MAVL: its three terms against loops, and what the aspects are for."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from medvlp.knowledge import NOT_PRESENT_SENTENCE, PLACES, BookText, place_sentence
from medvlp.methods.mavl import MAVLOptions

ASPECTS = MAVLOptions().aspects


def soft_cross_entropy(logits, positive):
    """Mean over lines with a positive of the cross-entropy against their normalized positives."""
    lines = [
        -(row.log_softmax(0) * hit.float() / hit.sum()).sum()
        for row, hit in zip(logits, positive, strict=True)
        if hit.any()
    ]
    return torch.stack(lines).mean()


def by_loops(method, batch):
    """The three losses from the equations at the top of the file."""
    texts = [[method.book.text(f, aspect) for aspect in ASPECTS] for f in method.findings]
    read = method.bank([t for row in texts for t in row]).global_
    queries = method.to_query(read - read.mean(0)).unflatten(0, (len(texts), len(ASPECTS)))
    places = method.bank([*(place_sentence(p) for p in PLACES), NOT_PRESENT_SENTENCE]).global_
    presence, where, pooled = [], [], []
    for b in range(len(batch)):
        features = method.image_encoder(batch.images[b : b + 1])
        pooled.append(F.normalize(method.pool(features.patches)[0], dim=0))
        for e in range(len(texts)):
            answer = torch.cat(
                [method.decode_queries(features, queries[e, k][None, None])[0][0, 0] for k in range(len(ASPECTS))]
            )
            present = float(batch.findings[b, e] == 1)
            presence.append(F.binary_cross_entropy_with_logits(method.presence(answer)[0], torch.tensor(present)))
            true = [p for p in range(len(PLACES)) if batch.places[b, e, p] == 1]
            if true:
                scores = places @ method.to_place(answer)
                others = [p for p in range(len(PLACES) + 1) if p not in true]
                where.append((1 + 7 / len(others) * scores[others].exp().sum() / scores[true].exp()).log().mean())
    positive, contrasts = batch.findings == 1, []
    for k, scale in enumerate(method.aspect_scales):
        logits = scale.scale * torch.stack(pooled) @ F.normalize(queries[:, k], dim=1).t()
        contrasts += [soft_cross_entropy(logits, positive), soft_cross_entropy(logits.t(), positive.t())]
    total = 0.1 * 2 * torch.stack(contrasts).mean()
    return {"presence": torch.stack(presence).mean(), "place": torch.stack(where).mean(), "global": total}


def test_its_losses_equal_their_loops(build, make_batch):
    method, batch = build("mavl").eval(), make_batch(4)
    batch.places[0, 0, 7] = 1
    with torch.no_grad():
        losses, expected = method(batch), by_loops(method, batch)
        assert losses.keys() == expected.keys()
        for term, value in expected.items():
            torch.testing.assert_close(losses[term], value, rtol=1e-4, atol=1e-5)


def test_an_image_without_report_is_no_negative_of_the_global_contrast(build, make_batch, first):
    method, batch = build("mavl").eval(), make_batch()
    batch.report_mask[5], batch.findings[5] = False, -1
    torch.testing.assert_close(method(batch)["global"], method(first(batch, 5))["global"])


def test_the_global_contrast_of_equal_cosines_costs_log_f_and_log_b(build, make_batch):
    method, batch = build("mavl").eval(), make_batch(6)
    with torch.no_grad():
        method.pool.out.weight.zero_()
        method.pool.out.bias.zero_()
    expected = 0.1 * (math.log(len(method.findings)) + math.log(6))
    assert method(batch)["global"].item() == pytest.approx(expected, abs=1e-5)


def test_aspects_permuted_with_the_weights_that_read_them_give_the_same(build, make_batch):
    order = [3, 0, 6, 1, 5, 2, 4]
    first = build("mavl").eval()
    second = build("mavl", aspects=tuple(ASPECTS[i] for i in order)).eval()
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        for name in ("presence", "to_place"):
            old, new = getattr(first, name), getattr(second, name)
            new.weight.copy_(old.weight.unflatten(1, (len(order), -1))[:, order].flatten(1))
        for new, i in zip(second.aspect_scales, order, strict=True):
            new.log_scale.copy_(first.aspect_scales[i].log_scale)
        for term, value in first(make_batch()).items():
            torch.testing.assert_close(second(make_batch())[term], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("aspects", [ASPECTS, ("definition",)])
def test_findings_with_one_definition_are_told_apart_by_their_aspects(build, make_batch, aspects):
    method, images = build("mavl", aspects=aspects).eval(), make_batch(3).images
    same = BookText(method.book.text("pneumothorax", "definition"))
    method.book = method.book.with_texts("twins", {"edema": {"definition": same}})
    with torch.no_grad():
        scores = method.score(images, ["edema", "pneumothorax"])
    assert torch.allclose(scores[:, 0], scores[:, 1], atol=1e-6) == (aspects == ("definition",))


def test_an_aspect_that_the_book_lacks_is_left_out_of_the_global_contrast(build, make_batch):
    method, batch = build("mavl"), make_batch()
    method.trained_texts = (("Fluid.", *[""] * 6), *method.trained_texts[1:])
    knowledge = method.encode_queries(method.trained_texts)
    assert knowledge.known[0].tolist() == [True] + [False] * 6
    queries = knowledge.vectors.detach().requires_grad_()
    features = method.image_encoder(batch.images)
    method._global_contrast(batch, features, replace(knowledge, vectors=queries)).backward()
    assert queries.grad[0, 0].any()
    assert not queries.grad[0, 1:].any()


def test_a_finding_without_any_of_the_aspects_is_refused(build):
    with pytest.raises(ValueError, match=r"says nothing of .* in ct"):
        build("mavl", aspects=("ct",), findings=("enlarged_cardiomediastinum", "edema"))
    with pytest.raises(KeyError, match="density"):
        build("mavl", aspects=("densty",))


def test_an_image_and_a_text_meet_in_the_space_of_queries(build, make_batch):
    method = build("mavl").eval()
    with torch.no_grad():
        image = method.encode_images(make_batch(2).images)
        text = method.encode_texts([method.query_texts("edema")[0]]).global_
        torch.testing.assert_close(text[0], method.encode_queries((method.query_texts("edema"),)).vectors[0, 0])
    assert image.global_.shape == (2, text.shape[1])
