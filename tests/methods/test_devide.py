"""DeViDe: what each term reads, and its zero-shot path over findings that it never saw."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from medvlp.models import grid_position

FACETS = ("definition", "radiographic")


def soft_cross_entropy(logits, target, valid):
    """Mean over the lines of a table, one entry after the other, of the cross-entropy with normalized targets."""
    costs = []
    for line, wanted, counts in zip(logits, target.float(), valid, strict=True):
        mass = sum(w for w, v in zip(wanted, counts, strict=True) if v)
        if mass > 0:
            known = torch.stack([x for x, v in zip(line, counts, strict=True) if v])
            log_sum = known.logsumexp(0)
            costs.append(sum(w / mass * (log_sum - x) for x, w, v in zip(line, wanted, counts, strict=True) if v))
    return sum(costs) / len(costs)


def both_ways(logits, target, valid):
    return (soft_cross_entropy(logits, target, valid) + soft_cross_entropy(logits.t(), target.t(), valid.t())) / 2


def written_out(method, batch):
    """The four losses from the equations at the top of the file, images, findings and sentences one by one."""
    o, images, known = method.options, range(len(batch)), batch.findings != 2
    features = method.image_encoder(batch.images)
    v, p = method.image_head(features.global_), method.patch_head(features.patches)
    t = method.report_head(method.text_encoder(batch.report_tokens, batch.report_mask).global_)
    labels = [{e for e in range(4) if batch.findings[b, e] == 1} for b in images]
    target = torch.tensor(
        [[labels[b] == labels[c] or batch.text_group[b] == batch.text_group[c] for c in images] for b in images]
    )
    report = both_ways(v @ t.t() / 0.07, target, torch.ones_like(target))

    read = [method.bank([method.book.text(f, facet) for f in method.findings]).global_ for facet in FACETS]
    k = [head(texts - texts.mean(0)) for head, texts in zip(method.facet_heads, read, strict=True)]
    knowledge = sum(both_ways(v @ texts.t() / 0.07, batch.findings == 1, known) for texts in k) / len(k)

    cosines, true, valid = [], [], []
    for c in images:
        present = [s for s in range(3) if (batch.sentence_findings[c, s] == 1).any()][: o.sentences]
        for s in present:  # one that denies, or states nothing, may be drawn, and does not count
            ids, mask, says = batch.sentence_tokens[c, s], batch.sentence_mask[c, s], batch.sentence_findings[c, s]
            sentence = method.sentence_head(method.text_encoder(ids[None], mask[None]).global_)[0]
            cosines.append([])
            for b in images:
                cosines[-1].append((10 * p[b] @ sentence).exp().mean().log() / 10 / 0.07)
            claims = [(e, int(says[e])) for e in range(4) if says[e] in (0, 1)]
            equal = [
                any(torch.equal(ids[mask], batch.sentence_tokens[b, r][batch.sentence_mask[b, r]]) for r in range(3))
                for b in images
            ]
            true.append([equal[b] or all(batch.findings[b, e] == y for e, y in claims) for b in images])
            denied = [any(batch.findings[b, e] in ((0, -1) if y else (1,)) for e, y in claims) for b in images]
            valid.append([yes or no for yes, no in zip(true[-1], denied, strict=True)])
    table = torch.stack([torch.stack(row) for row in cosines]).t()
    patch = both_ways(table, torch.tensor(true).t(), torch.tensor(valid).t())

    costs, position = [], grid_position(features.grid, o.decoder_width, p)
    for b in images:
        for e in range(4):
            if known[b, e]:
                facets = torch.stack([texts[e] for texts in k])
                r = (10 * facets @ v[b]).softmax(0) @ facets
                memory = method.to_memory(features.patches[b : b + 1])
                answer = method.decoder(method.to_query(r)[None], memory, position)[0][0, 0]
                logit = 10 * F.cosine_similarity(method.finding_head(answer), r, dim=0) - 1
                costs.append(F.binary_cross_entropy_with_logits(logit, (batch.findings[b, e] == 1).float()))
    return {"report": report, "knowledge": knowledge, "patch": o.patch_weight * patch, "bce": sum(costs) / len(costs)}


def test_its_losses_equal_their_loops(build, make_batch):
    method, batch = build("devide").eval(), make_batch(7)
    batch.findings[2, 3] = 2
    with torch.no_grad():
        losses, expected = method(batch), written_out(method, batch)
    assert losses.keys() == expected.keys()
    for term, value in expected.items():
        torch.testing.assert_close(losses[term], value, rtol=1e-4, atol=1e-5, msg=lambda m, t=term: f"{t}: {m}")


@pytest.mark.parametrize("kind", ["identity", "same_text"])
def test_an_image_without_report_is_no_negative_of_a_sentence(build, make_batch, kind):
    method, batch = build("devide", sentence_target=kind).eval(), make_batch(6)
    batch.report_mask[5] = batch.sentence_mask[5] = False
    patches = method.image_encoder(batch.images).patches.detach().requires_grad_()
    sentences = method.encode(batch).sentences
    (gradient,) = torch.autograd.grad(method._patch_alignment(batch, patches, sentences), patches)
    assert not gradient[5].any()
    assert gradient[:5].flatten(1).any(1).all()


def test_its_four_terms(build, make_batch):
    assert set(build("devide")(make_batch())) == {"report", "knowledge", "patch", "bce"}
    without = build("devide", patch_weight=0.0, knowledge_weight=0.0)(make_batch())
    assert set(without) == {"report", "bce"}


def test_weights_scale_their_term(build, make_batch):
    once, twice = build("devide").eval(), build("devide", patch_weight=1.0).eval()
    torch.testing.assert_close(2 * once(make_batch())["patch"], twice(make_batch())["patch"])


def test_a_finding_unmentioned_everywhere_sends_no_gradient_to_its_book_row(build, make_batch):
    method, batch = build("devide", unmentioned="ignore"), make_batch()
    batch.findings[:, 1] = -1
    book = method.encode_knowledge(method.findings)
    book = replace(book, vectors=book.vectors.detach().requires_grad_())
    features = method.image_encoder(batch.images)
    image = method.image_head(features.global_)
    loss = method._knowledge_contrast(batch, image, book) + method._finding_bce(batch, features, image, book)
    (gradient,) = torch.autograd.grad(loss, book.vectors)
    assert not gradient[1].any()
    assert gradient[[0, 2, 3]].flatten(1).any(1).all()


def test_swapping_images_with_equal_labels_and_reports_leaves_the_contrasts(build, make_batch):
    method, batch = build("devide").eval(), make_batch(10)  # reports repeat after five
    first = method(batch)
    batch.images[[0, 5]] = batch.images[[5, 0]]
    second = method(batch)
    for term in ("report", "knowledge", "patch", "bce"):
        torch.testing.assert_close(first[term], second[term], rtol=1e-4, atol=1e-5)


def test_a_finding_may_be_asked_that_was_never_trained_on(build, make_batch):
    method, images = build("devide").eval(), make_batch(3).images
    scores = method.score(images, ["pneumothorax", "hiatal_hernia", "pacemaker"])
    assert scores.shape == (3, 3)
    assert scores[:, 1:].diff(dim=1).abs().min() > 0  # two descriptions, two answers
    with pytest.raises(KeyError, match="pacemaker"):
        method.score(images, ["pacemakr"])


def test_an_answer_does_not_depend_on_the_other_findings(build, make_batch):
    method, images = build("devide").eval(), make_batch(3).images
    one = method.score(images, ["edema"])
    many = method.score(images, ["pacemaker", "edema", "pneumothorax"])
    torch.testing.assert_close(many[:, 1:2], one, rtol=1e-4, atol=1e-6)


def test_one_facet_is_enough(build, make_batch):
    method = build("devide", facets=("radiographic",))
    assert sum(method(make_batch()).values()).isfinite()
    assert method.eval().score(make_batch(2).images, ["edema"]).shape == (2, 1)


def test_names_alone_are_the_ablation_without_descriptions(build, make_batch):
    method, batch = build("devide", facets=("name",), patch_weight=0.0), make_batch()
    assert set(method(batch)) == {"report", "knowledge", "bce"}
    book = method.eval().encode_knowledge(["edema", "pacemaker"])
    named = method.bank(["pulmonary edema", "pacemaker"]).global_
    mean = method.bank([method.book.name_of(finding) for finding in method.findings]).global_.mean(0)
    torch.testing.assert_close(book.vectors[:, 0], method.facet_heads[0](named - mean))


def test_a_facet_that_a_finding_lacks_is_neither_read_nor_learned(build, make_batch):
    method, batch = build("devide", facets=("definition", "radiographic")).eval(), make_batch()
    book = method.encode_knowledge(method.findings)
    known = book.known.clone()
    known[1, 1] = False
    features, losses = method.image_encoder(batch.images), []
    image = method.image_head(features.global_)
    for noise in (0.0, 1.0):
        texts = book.vectors.clone()
        texts[1, 1] += noise
        noisy = replace(book, vectors=texts, known=known)
        contrast = method._knowledge_contrast(batch, image, noisy)
        losses.append([contrast, method.decode_findings(features, image, noisy)[0]])
    torch.testing.assert_close(losses[0], losses[1])


def test_each_finding_has_its_own_view_of_the_image(build, make_batch):
    # Two findings that are there at once: with one vector for the image, it could be near both texts only in between.
    method = build("devide").eval()
    features, book = method.image_encoder(make_batch(2).images), method.encode_knowledge(method.findings)
    image = method.image_head(features.global_)
    logits, _ = method.decode_findings(features, image, book)
    moved = replace(book, vectors=torch.cat([book.vectors[:1], book.vectors[1:].flip(-1)]))
    again, _ = method.decode_findings(features, image, moved)
    torch.testing.assert_close(again[:, 0], logits[:, 0])
    assert not torch.isclose(again[:, 1:], logits[:, 1:]).any()


def test_a_facet_without_text_is_refused_by_name(build):
    with pytest.raises(KeyError, match="radiographic"):
        build("devide", facets=("radiografic",))


def test_heat_maps_lie_on_the_patch_grid_and_follow_the_phrase(build, make_batch):
    method, images = build("devide").eval(), make_batch(2).images
    effusion, heart = (method.heat_map(images, phrase) for phrase in ("left pleural effusion", "enlarged heart"))
    assert effusion.shape == (2, 4, 4)
    assert not torch.allclose(effusion, heart)
    patches, sentence = (
        method.encode_images(images).patches,
        method.sentence_head(method.bank(["left pleural effusion"]).global_),
    )
    torch.testing.assert_close(effusion.flatten(1), patches @ sentence[0])


def test_the_decoder_shows_where_it_looks_for_a_named_finding(build, make_batch):
    images = make_batch(2).images
    by_sentence, by_decoder = build("devide").eval(), build("devide", grounding="decoder").eval()
    named = by_decoder.heat_map(images, "Pleural effusion.")
    torch.testing.assert_close(named.sum((1, 2)), torch.ones(2))  # attention, not cosines
    phrase = "effusion on the left"
    torch.testing.assert_close(by_decoder.heat_map(images, phrase), by_sentence.heat_map(images, phrase))


@pytest.mark.parametrize("kind", ["identity", "same_text", "same_labels", "ontology"])
def test_each_target_of_the_report_contrast(build, make_batch, kind):
    assert build("devide", false_negatives=kind)(make_batch())["report"].isfinite()
