"""DeViDe: what each term reads, and its zero-shot path over findings that it never saw."""

import pytest
import torch


def test_its_four_terms(build, make_batch):
    assert set(build("devide").losses(make_batch())) == {"report", "knowledge", "patch", "bce"}
    without = build("devide", patch_weight=0.0, knowledge_weight=0.0).losses(make_batch())
    assert set(without) == {"report", "bce"}


def test_weights_scale_their_term(build, make_batch):
    once, twice = build("devide").eval(), build("devide", patch_weight=1.0).eval()
    torch.testing.assert_close(2 * once.losses(make_batch())["patch"], twice.losses(make_batch())["patch"])


def test_a_finding_unmentioned_everywhere_sends_no_gradient_to_its_book_row(build, make_batch):
    method, batch = build("devide", unmentioned="ignore"), make_batch()
    batch.findings[:, 1] = -1
    book = method._book(method.findings)
    book = book._replace(texts=book.texts.detach().requires_grad_())
    seen = method._see(batch.images)
    loss = method._knowledge_contrast(batch, seen.image, book) + method._finding_bce(batch, seen, book)
    (gradient,) = torch.autograd.grad(loss, book.texts)
    assert not gradient[1].any()
    assert gradient[[0, 2, 3]].flatten(1).any(1).all()


def test_swapping_images_with_equal_labels_and_reports_leaves_the_contrasts(build, make_batch):
    method, batch = build("devide").eval(), make_batch(10)  # reports repeat after five
    first = method.losses(batch)
    batch.images[[0, 5]] = batch.images[[5, 0]]
    second = method.losses(batch)
    for term in ("report", "knowledge", "patch", "bce"):
        torch.testing.assert_close(first[term], second[term], rtol=1e-4, atol=1e-5)


def test_a_finding_may_be_asked_that_was_never_trained_on(build, make_batch):
    method, images = build("devide").eval(), make_batch(3).images
    scores = method.score(images, ["pneumothorax", "hiatal_hernia", "pacemaker"])
    assert scores.shape == (3, 3)
    assert scores[:, 1:].diff(dim=1).abs().min() > 0  # two descriptions, two answers
    with pytest.raises(KeyError, match="pacemaker"):
        method.score(images, ["pacemakr"])


def test_an_answer_does_not_depend_on_what_else_is_asked(build, make_batch):
    method, images = build("devide").eval(), make_batch(3).images
    one = method.score(images, ["edema"])
    many = method.score(images, ["pacemaker", "edema", "pneumothorax"])
    torch.testing.assert_close(many[:, 1:2], one, rtol=1e-4, atol=1e-6)


def test_one_facet_is_enough(build, make_batch):
    method = build("devide", facets=("radiographic",))
    assert sum(method.losses(make_batch()).values()).isfinite()
    assert method.eval().score(make_batch(2).images, ["edema"]).shape == (2, 1)


def test_names_alone_are_the_ablation_without_descriptions(build, make_batch):
    method, batch = build("devide", facets=("name",), patch_weight=0.0), make_batch()
    assert set(method.losses(batch)) == {"report", "knowledge", "bce"}
    book = method.eval()._book(["edema", "pacemaker"])
    named = method.bank(["pulmonary edema", "pacemaker"]).global_
    mean = method.bank([method.book.name_of(finding) for finding in method.findings]).global_.mean(0)
    torch.testing.assert_close(book.texts[:, 0], method.facet_heads[0](named - mean))


def test_a_facet_that_a_finding_lacks_is_neither_read_nor_learnt(build, make_batch):
    method, batch = build("devide", facets=("definition", "radiographic")).eval(), make_batch()
    book = method._book(method.findings)
    known = book.known.clone()
    known[1, 1] = False
    seen, losses = method._see(batch.images), []
    for noise in (0.0, 1.0):
        texts = book.texts.clone()
        texts[1, 1] += noise
        described = book._replace(texts=texts, known=known)
        losses.append([method._knowledge_contrast(batch, seen.image, described), method._ask(seen, described)[0]])
    torch.testing.assert_close(losses[0], losses[1])


def test_each_finding_has_its_own_view_of_the_image(build, make_batch):
    # Two findings that are there at once: with one vector for the image, it could be near both texts only in between.
    method, seen = build("devide").eval(), build("devide").eval()._see(make_batch(2).images)
    book = method._book(method.findings)
    logits, _ = method._ask(seen, book)
    moved = book._replace(texts=torch.cat([book.texts[:1], book.texts[1:].flip(-1)]))
    again, _ = method._ask(seen, moved)
    torch.testing.assert_close(again[:, 0], logits[:, 0])
    assert not torch.isclose(again[:, 1:], logits[:, 1:]).any()


def test_a_facet_without_text_is_refused_by_name(build, make_batch):
    method = build("devide", facets=("radiografic",))
    with pytest.raises(KeyError, match="radiographic"):
        method.losses(make_batch())


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
    assert build("devide", false_negatives=kind).losses(make_batch())["report"].isfinite()
