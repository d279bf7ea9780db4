"""KEEP: both directions of the group loss, captions and dropped words, and the softmax over classes."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import group_metric_loss, label_groups


def features(method, batch):
    image = F.normalize(method.image_head.layers(method.image_encoder(batch.images).global_), dim=1)
    text = method.text_encoder(batch.report_tokens, batch.report_mask).global_
    return image, F.normalize(method.text_head.layers(text), dim=1)


def test_the_loss_is_the_definition_in_both_directions(build, make_batch):
    """Reports 0 and 5, 1 and 2, 3 and 4 show the same; what the last two pairs show is within what the first shows."""
    method, batch = build("keep").eval(), make_batch(6)
    image, text = features(method, batch)
    groups, related = [(0, 5), (1, 2), (3, 4)], {(0, 1), (1, 0), (0, 2), (2, 0)}

    def direction(similarity):
        terms = []
        for i, rows in enumerate(groups):
            positive = sum(1 / sum(torch.exp(-similarity[a, b]) for b in rows) for a in rows)
            others = [j for j in range(3) if j != i and (i, j) not in related]
            negative = sum(torch.exp(similarity[a, b]) for j in others for a in rows for b in groups[j])
            terms.append(-torch.log(positive / (positive + negative)))
        return sum(terms) / 3

    similarity = 25 * image @ text.t()
    expected = (direction(similarity) + direction(similarity.t())) / 2
    torch.testing.assert_close(method(batch)["groups"], expected, rtol=1e-4, atol=1e-5)


def test_a_finding_is_no_negative_of_what_it_is_a_kind_of(build, make_batch):
    findings = ("pneumonia", "lung_opacity", "cardiomegaly")
    batch, method = make_batch(3), build("keep", findings=findings).eval()
    method.image_encoder.requires_grad_(False)
    batch.findings = torch.eye(3, dtype=torch.int8)
    image, text = (x.detach().requires_grad_() for x in features(method, batch))
    method.image_head.forward, method.text_head.forward = lambda _: image, lambda _: text
    kinds = torch.autograd.grad(method(batch)["groups"], image)[0]
    groups = label_groups(batch.findings, torch.ones(3, dtype=torch.bool), method.ancestors)
    assert groups.valid.tolist() == [[True, False, True], [False, True, True], [True, True, True]]
    method.ancestors = torch.eye(3, dtype=torch.bool)  # without the tree
    flat = torch.autograd.grad(method(batch)["groups"], image)[0]
    assert not torch.allclose(kinds[0], flat[0])


def test_images_of_which_nothing_is_stated_are_negatives_only(build, make_batch):
    method, batch = build("keep").eval(), make_batch(6)
    batch.findings[3:] = -1
    image, text = features(method, batch)
    groups = label_groups(batch.findings, torch.ones(6, dtype=torch.bool), method.ancestors)
    assert groups.anchors.tolist() == [True] * 3 + [False] * 3
    assert groups.valid[0, 3:].all()
    both = [group_metric_loss(25 * a @ b.t(), groups) for a, b in ((image, text), (text, image))]
    torch.testing.assert_close(method(batch)["groups"], sum(both) / 2)


def test_swapping_images_of_one_group_changes_nothing(build, make_batch):
    method, batch = build("keep").eval(), make_batch(6)
    first = method(batch)["groups"]
    batch.images[[1, 2]] = batch.images[[2, 1]]
    torch.testing.assert_close(method(batch)["groups"], first)


def test_captions_stand_in_for_half_of_the_reports_and_only_where_labels_are_known(build, make_batch):
    torch.manual_seed(0)
    method, batch = build("keep"), make_batch(6)
    known = torch.tensor([True, True, True, True, False, False])
    width, replaced = batch.report_tokens.shape[1], torch.zeros(6)
    for _ in range(200):
        captioned = method._captioned(batch, known)
        assert captioned.report_tokens.shape[1] >= width
        kept = captioned.report_tokens[:, :width] == batch.report_tokens
        replaced += ~kept.all(1)
    assert not replaced[4:].any()
    assert (replaced[:4] / 200).tolist() == pytest.approx([0.5] * 4, abs=0.12)
    always = build("keep", caption_rate=1.0)._captioned(batch, known)
    said = [always.report_tokens[i][always.report_mask[i]].tolist() for i in range(4)]
    assert "cardiomegaly" in method.tokenizer.decode(said[1])


def test_forty_per_cent_of_the_words_of_half_of_the_texts_are_not_read(build, make_batch):
    torch.manual_seed(0)
    method, batch = build("keep"), make_batch(6)
    ends = (batch.report_tokens == method.tokenizer.cls_id) | (batch.report_tokens == method.tokenizer.sep_id)
    words, lost, whole = batch.report_mask & ~ends, [], 0
    for _ in range(200):
        mask = method._words_dropped(batch).report_mask
        assert torch.equal(mask & ends, batch.report_mask & ends)
        share = 1 - (mask & words).sum(1) / words.sum(1)
        whole += int((share == 0).sum())
        lost += share[share > 0].tolist()
    assert whole / 1200 == pytest.approx(0.5, abs=0.06)
    assert sum(lost) / len(lost) == pytest.approx(0.4, abs=0.03)


def test_nothing_is_drawn_in_validation(build, make_batch):
    method, batch = build("keep").eval(), make_batch()
    torch.testing.assert_close(method(batch), method(batch))
    method.train()
    assert method(batch)["groups"] != method(batch)["groups"]


def planted(method, cosine):
    """The method with planted cosines of two images with findings."""
    method.image_head.forward = lambda x: torch.eye(2)[: len(x)]
    method._classes = lambda findings: torch.tensor([cosine[finding] for finding in findings])


def test_a_score_is_a_share_of_the_classes(build, make_batch):
    method, images = build("keep", findings=("edema", "cardiomegaly")).eval(), make_batch(2).images
    planted(method, {"edema": [0.5, 0.0], "cardiomegaly": [0.2, 0.1], "no_finding": [0.1, 0.4], "mass": [0.3, 0.3]})
    scores = method.score(images, ["edema", "mass"])
    classes = torch.tensor([[5.0, 2.0, 1.0], [0.0, 1.0, 4.0]]).exp()
    edema = classes[:, 0] / classes.sum(1)
    mass = torch.tensor([3.0, 3.0]).exp()  # a finding that was not trained on joins the classes
    torch.testing.assert_close(scores, torch.stack([edema, mass / (mass + classes.sum(1))], 1))
    torch.testing.assert_close(method.score(images, ["edema"]), scores[:, :1])


def test_the_text_of_a_class_is_the_mean_of_its_templates(build):
    method = build("keep").eval()
    texts = [
        f"{start}pulmonary edema, lung opacity" for start in ("", "a chest image of ", "a radiology image showing ")
    ]
    texts += ["findings of pulmonary edema, lung opacity", "an example of pulmonary edema, lung opacity"]
    expected = F.normalize(method.encode_texts(texts).global_.mean(0), dim=0)
    torch.testing.assert_close(method._classes(["cardiomegaly", "edema"])[1], expected)
