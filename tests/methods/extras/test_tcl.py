"""TCL: the queue, the twins, and the terms written out."""

import torch
from torch.nn import functional as F

from medvlp.methods.extras.step import Step
from medvlp.objectives.sentence_sampling import row_hash


def test_the_whole_terms_are_cross_entropy_against_batch_and_queue(build, build_extra, make_batch):
    extra = build_extra("tcl", queue=5).eval()
    extra.images.push(torch.zeros(3, 128))
    extra.texts.push(torch.zeros(3, 128), torch.tensor([11, 12, 13]))
    step = Step(build("clip").eval(), make_batch(4))
    image, text = extra.image_head(step.image.global_), extra.text_head(step.report.global_)
    for query, queue in ((image, extra.images), (text, extra.texts)):  # near enough to count, also where not filled
        queue.features.copy_(F.normalize(query[:1].detach() + 0.03 * torch.randn(5, 128), dim=1))
    losses, own = extra.losses(step), torch.arange(4)
    for name, query, queue in (("image", image, extra.images), ("text", text, extra.texts)):
        keys = torch.cat([query.detach(), queue.features[:3]])  # in evaluation mode the twins are what they follow
        expected = F.cross_entropy(query @ keys.t() / 0.07, own) / 4
        torch.testing.assert_close(losses[name], expected, rtol=1e-4, atol=1e-5)


def test_twins_follow_and_queues_fill_in_training_alone(build, build_extra, make_batch):
    method, extra, batch = build("clip"), build_extra("tcl", queue=8, decay=0.5), make_batch(3)
    extra.eval().losses(Step(method, batch))
    assert not extra.images.filled.any()
    batch.report_mask[1] = False
    with torch.no_grad():
        method.text_encoder.network.embeddings.LayerNorm.bias.add_(1.0)
    extra.train().losses(Step(method, batch))
    assert extra.images.filled.sum() == 3
    assert (extra.texts.groups != -1).sum() == 2  # an image without report leaves no text behind
    moved = extra.text_twin.twin.network.embeddings.LayerNorm.bias
    torch.testing.assert_close(moved, torch.full_like(moved, 0.5))


def test_a_copy_of_a_report_is_right_too_in_the_batch_and_in_the_queue(build, build_extra, make_batch, first):
    batch, extra = make_batch(3), build_extra("tcl", queue=4).eval()
    batch.report_tokens[1], batch.report_mask[1] = batch.report_tokens[0], batch.report_mask[0]
    copy = row_hash(batch.report_tokens, batch.report_mask)[2]
    extra.texts.push(F.normalize(torch.randn(2, 128), dim=1), torch.stack([copy, copy + 1]))
    method = build("clip").eval()
    step = Step(method, batch)
    query = extra.text_head(step.report.global_)
    keys = torch.cat([query, extra.texts.features[:2]]).detach()
    right = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]).float()
    expected = F.cross_entropy(query @ keys.t() / 0.07, right / right.sum(1, keepdim=True)) / 4
    torch.testing.assert_close(extra.losses(step)["text"], expected, rtol=1e-4, atol=1e-5)
    alone = extra.losses(Step(method, first(batch, 2)))
    torch.testing.assert_close(alone["text_parts"], torch.tensor(0.0))  # no words of others to tell its own from


def test_the_terms_keep_views_together_which_a_contrast_between_modalities_does_not_see(build, build_extra, make_batch):
    """The mechanism: features that forget the image cost more than features that know it."""
    method, extra, batch = build("clip").eval(), build_extra("tcl").eval(), make_batch(6)
    batch.images += torch.arange(6.0).view(6, 1, 1, 1)
    known = extra.losses(Step(method, batch))["image"]
    step = Step(method, batch)
    step.image.global_ = step.image.global_[:1].expand(6, -1)
    assert extra.losses(step)["image"] > known + 0.02
