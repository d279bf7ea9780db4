"""UniCL: its loss written out, labels as texts, and raw cosines as zero-shot."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import sample_sentences


def slow_loss(method, batch):
    """Over sentences that exist and labels, with every pair looked at by itself."""
    image = method.image_head(method.image_encoder(batch.images).global_)
    rows = [b for b in range(len(batch)) if batch.sentence_mask[b, 0].any()]
    sentences = method.text_head(method.text_encoder(batch.sentence_tokens[:, 0], batch.sentence_mask[:, 0]).global_)
    names = [f"a radiology image of {method.book.name_of(f)}" for f in method.findings]
    texts = [*sentences[rows], *method.text_head(method.bank(names).global_)]
    target = torch.zeros(len(batch), len(texts))
    for b in range(len(batch)):
        for j in range(len(texts)):
            if j < len(rows):
                named = batch.sentence_findings[rows[j], 0] == 1
                equal = torch.equal(
                    batch.sentence_tokens[b, 0][batch.sentence_mask[b, 0]],
                    batch.sentence_tokens[rows[j], 0][batch.sentence_mask[rows[j], 0]],
                )
            else:
                named, equal = torch.arange(4) == j - len(rows), False
            target[b, j] = float(equal or bool(((batch.findings[b] == 1) & named).any()))
    logits = torch.stack([torch.stack([v @ t for t in texts]) for v in image]) / 0.07
    by_row = [
        -(target[b] / target[b].sum() * logits[b].log_softmax(0)).sum() for b in range(len(batch)) if target[b].any()
    ]
    by_column = [
        -(target[:, j] / target[:, j].sum() * logits[:, j].log_softmax(0)).sum()
        for j in range(len(texts))
        if target[:, j].any()
    ]
    return (torch.stack(by_row).mean() + torch.stack(by_column).mean()) / 2


def test_the_loss_is_the_papers(build, make_batch):
    method, batch = build("unicl").eval(), make_batch(7)  # reports 5 and 6 repeat 0 and 1
    torch.testing.assert_close(method(batch)["contrast"], slow_loss(method, batch), rtol=1e-4, atol=1e-5)


def test_a_report_without_sentences_takes_no_part_but_its_labels_do(build, make_batch):
    method, batch = build("unicl").eval(), make_batch(5)
    batch.sentence_mask[3] = False
    with_labels = method(batch)["contrast"]
    torch.testing.assert_close(with_labels, slow_loss(method, batch), rtol=1e-4, atol=1e-5)


def test_labels_alone_teach(build, make_batch):
    method, batch = build("unicl").eval(), make_batch(5)
    batch.sentence_mask[:] = False
    batch.report_mask[:] = False
    loss = method(batch)["contrast"]
    assert loss > 0
    batch.findings[:] = -1
    assert method(batch)["contrast"] == 0


def test_images_that_share_a_label_are_not_pushed_from_each_others_texts(build, make_batch):
    """The mechanism: with T the identity, the sentence of one image pushes the other away."""
    method, batch = build("unicl", false_negatives="identity").eval(), make_batch(5)
    joined, _ = method._targets(batch, draw(batch))
    sentences = joined[:, :5]
    assert torch.equal(batch.findings[[0, 3, 4], 0] == 1, torch.ones(3).bool())  # all three show an effusion
    assert batch.sentence_findings[0, 0, 0] == 1
    assert sentences[:, 0].tolist() == [1, 0, 0, 1, 1]


def draw(batch):
    return sample_sentences(batch.sentence_tokens, batch.sentence_mask, batch.sentence_findings, 1, False, first="any")


def test_zero_shot_is_the_cosine_with_the_mean_of_templates(build, make_batch):
    method, images = build("unicl", templates=("an image of {}", "{} is seen")).eval(), make_batch(3).images
    image = method.encode_images(images).global_
    both = method.encode_texts(["an image of hiatal hernia", "hiatal hernia is seen"]).global_
    expected = (1 + F.cosine_similarity(image, both.mean(0)[None])) / 2
    torch.testing.assert_close(method.score(images, ["hiatal_hernia"])[:, 0], expected)
    with pytest.raises(KeyError, match="hiatal_hernia"):
        method.score(images, ["hiatal_herna"])


def test_a_sentence_is_drawn_anew_in_training_alone(build, make_batch, losses_of_steps):
    drawn = losses_of_steps(build("unicl"), make_batch(5), "contrast")
    assert len(drawn[False]) == 1 < len(drawn[True])
