"""ConceptCLIP: its two losses written out, where concepts are looked for, and its zero-shot path."""

import math

import pytest
import torch

from medvlp.objectives import sigmoid_contrast, target_matrix
from medvlp.reports.states import FindingState


def log_sigmoid(x):
    return -math.log1p(math.exp(-x.item()))


def test_the_losses_are_the_papers(build, make_batch):
    method, batch = build("conceptclip", region_weight=0.4, start_bias=-2.0).eval(), make_batch(7)
    batch.report_mask[3] = False  # reports 5 and 6 repeat 0 and 1; 3 is gone
    batch.text_group[3] = 99
    batch.concepts[4, 0, 3] = FindingState.UNCERTAIN
    features = method.image_encoder(batch.images)
    report = method.text_encoder(batch.report_tokens, batch.report_mask)
    images, texts = method.image_head(features.global_), method.text_head(report.global_)
    kept = [0, 1, 2, 4, 5, 6]
    whole = 0.0
    for b in kept:
        for c in kept:
            logit = 10 * (images[b] @ texts[c]) - 2
            whole -= log_sigmoid(logit if batch.text_group[b] == batch.text_group[c] else -logit) / len(kept)

    patches, spans = method.patch_head(features.patches), []
    for c in kept:
        for begin, end, concept, state in batch.concepts[c].tolist():
            if state == FindingState.PRESENT:
                spans.append((concept, method.concept_head(report.tokens[c, begin:end].mean(0))))
    local = 0.0
    for concept, vector in spans:
        for b in kept:
            said = [state for *_, named, state in batch.concepts[b].tolist() if named == concept]
            logit = 10 * torch.stack([p @ vector for p in patches[b]]).max() - 2
            if FindingState.PRESENT in said:
                local -= log_sigmoid(logit) / len(spans)
            elif FindingState.UNCERTAIN not in said:
                local -= log_sigmoid(-logit) / len(spans)
    losses = method(batch)
    assert losses["report"].item() == pytest.approx(whole, rel=1e-4)
    assert losses["region"].item() == pytest.approx(0.4 * local, rel=1e-4)


def test_of_graded_agreement_a_half_makes_a_report_right(build, make_batch):
    method, batch = build("conceptclip", false_negatives="ontology", region_weight=0).eval(), make_batch(5)
    agreement = target_matrix(
        "ontology", text_group=batch.text_group, states=batch.findings, ancestors=method.ancestors
    )
    assert ((agreement >= 0.5) & (agreement < 1)).any()
    image, report = (
        method.image_encoder(batch.images).global_,
        method.text_encoder(batch.report_tokens, batch.report_mask).global_,
    )
    logits = method.report_logits(method.image_head(image), method.text_head(report))
    torch.testing.assert_close(method(batch)["report"], sigmoid_contrast(logits, agreement >= 0.5))


def test_the_first_stage_leaves_concepts_out_of_the_loss_and_of_the_answer(build, make_batch):
    method, batch = build("conceptclip", region_weight=0).eval(), make_batch()
    assert set(method(batch)) == {"report"}
    by_prompts = method.pair_probability(method.pair_cosines(method.image_encoder(batch.images), ["edema"]))
    torch.testing.assert_close(method.score(batch.images, ["edema"]), by_prompts)


def test_a_concept_that_another_report_names_too_is_not_pushed_away(build, make_batch):
    """The mechanism: with its own image alone as positive, the gradient pushes the other image of an effusion away."""
    method, batch = build("conceptclip", start_bias=0.0), make_batch(2)
    batch.concepts[:] = batch.concepts.new_tensor([0, 0, -1, -1])
    batch.concepts[0, 0] = torch.tensor([2, 4, 7, FindingState.PRESENT])

    def pull():
        batch.images.grad = None
        method.zero_grad()
        features = method.image_encoder(batch.images.requires_grad_())
        patches = features.patches
        patches.retain_grad()
        report = method.text_encoder(batch.report_tokens, batch.report_mask)
        vector = method.concept_head(report.tokens[0, 2:4].mean(0))
        method._region_contrast(batch, features, report).backward()
        towards = method.concept_head.layers.weight.new_zeros(2)
        with torch.no_grad():
            at = method.patch_head(patches)
            step = method.patch_head(patches - 1e-2 * patches.grad / patches.grad.norm())
            for b in (0, 1):
                best = (at[b] @ vector).argmax()
                towards[b] = (step[b, best] - at[b, best]) @ vector
        return towards

    alone = pull()
    assert alone[0] > 0 > alone[1]
    batch.concepts[1, 2] = torch.tensor([1, 2, 7, FindingState.PRESENT])
    assert (pull() > 0).all()


def test_denied_and_unmentioned_concepts_have_no_vector_in_the_loss(build, make_batch):
    method, batch = build("conceptclip").eval(), make_batch()
    batch.concepts[..., 3] = FindingState.ABSENT
    assert method(batch)["region"] == 0


def test_it_says_what_it_misses(build, make_batch):
    batch = make_batch()
    batch.concepts = None
    with pytest.raises(ValueError, match="concepts=True"):
        build("conceptclip")(batch)
    assert build("conceptclip").required_fields == {"reports", "concepts"}


def test_zero_shot_is_half_prompts_and_half_patches(build, make_batch):
    method, images = build("conceptclip", start_bias=-3.0).eval(), make_batch(3).images
    features = method.image_encoder(images)
    image, patches = method.image_head(features.global_), method.patch_head(features.patches)
    pairs = []
    for present, absent in method.options.prompts:
        pair = method.encode_texts([present.format("pulmonary edema"), absent.format("pulmonary edema")]).global_
        pairs.append((10 * image @ pair.t()).softmax(1)[:, 0])
    tokens = method.bank(["pulmonary edema"])
    word = method.concept_head(tokens.tokens[0, 1 : int(tokens.mask.sum()) - 1].mean(0))
    region = (10 * (patches @ word).amax(1) - 3).sigmoid()
    expected = 0.5 * torch.stack(pairs).mean(0) + 0.5 * region
    torch.testing.assert_close(method.score(images, ["edema"])[:, 0], expected)
    torch.testing.assert_close(method.heat_map(images, "pulmonary edema").flatten(1), patches @ word)
    torch.testing.assert_close(method.encode_texts(["pulmonary edema"]).tokens, method.concept_head(tokens.tokens))
