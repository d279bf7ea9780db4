"""What holds of a step with any auxiliary, as `tests/methods/test_step.py` has it of the methods."""

import pytest
import torch

from medvlp.methods.auxiliary.base import AUXILIARY

EXTRAS = list(AUXILIARY)


def added(method, batch):
    return {name: loss for name, loss in method.losses(batch).items() if "/" in name}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_step_never_asks_the_device_for_a_value(name, build_with, make_batch, step):
    step(build_with("clip", **{name: {}}).train().to("meta"), make_batch().to("meta"))


@pytest.mark.parametrize("name", EXTRAS)
def test_the_number_of_operations_does_not_depend_on_the_batch(name, build_with, make_batch, operations):
    counts = []
    for size in (4, 9):
        method, batch = build_with("clip", **{name: {}}).train(), make_batch(size)
        counts.append(operations(method, batch))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", EXTRAS)
def test_every_parameter_of_an_extra_and_of_the_encoders_learns_from_it(name, build_with, make_batch):
    method, batch = build_with("clip", **{name: {}}).train(), make_batch()
    sum(added(method, batch).values()).backward()
    own = [(n, p) for n, p in method.named_parameters() if p.requires_grad and n.startswith("auxiliary.")]
    assert [n for n, p in own if p.grad is None or not p.grad.abs().any()] == []
    assert method.method.image_encoder.to_patches[-1].weight.grad.abs().any()
    assert not AUXILIARY.get(name).reads_text or next(method.method.text_encoder.parameters()).grad.abs().any()


@pytest.mark.parametrize("name", EXTRAS)
def test_bfloat16_autocast_changes_little(name, build_with, make_batch):
    method, batch = build_with("clip", **{name: {}}), make_batch()
    method.train().losses(batch)  # what counts words or keeps a queue has something to go on
    exact = method.eval().losses(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = method.losses(batch)
    for term, value in exact.items():
        assert rounded[term].dtype == torch.float32
        torch.testing.assert_close(rounded[term], value, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("name", EXTRAS)
def test_a_batch_without_reports_or_labels_costs_no_reading_and_stays_finite(name, build_with, make_batch):
    batch = make_batch()
    batch.report_mask[:] = False
    batch.sentence_mask[:] = False
    batch.findings[:] = -1
    batch.sentence_findings[:] = -1
    method = build_with("clip", **{name: {}}).train()
    losses = added(method, batch)
    sum(losses.values()).backward()
    assert {term: loss.item() for term, loss in losses.items() if not term.startswith("tcl/image")} == {
        term: 0.0 for term in losses if not term.startswith("tcl/image")
    }
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("name", EXTRAS)
def test_order_of_the_batch_does_not_matter(name, build_with, make_batch):
    method, batch, shuffled = build_with("clip", **{name: {}}), make_batch(), make_batch()
    method.train().losses(batch)
    method.eval()
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    for field in ("images", "report_tokens", "report_mask", "sentence_tokens", "sentence_mask", "findings", "places"):
        setattr(shuffled, field, getattr(batch, field)[order])
    shuffled.sentence_findings, shuffled.text_group = batch.sentence_findings[order], batch.text_group[order]
    first, second = method.losses(batch), method.losses(shuffled)
    for term in first:
        torch.testing.assert_close(first[term], second[term], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", EXTRAS)
def test_padding_has_no_influence(name, build_with, make_batch):
    method, batch, other = build_with("clip", **{name: {}}), make_batch(), make_batch()
    method.train().losses(batch)
    method.eval()
    other.report_tokens = torch.where(batch.report_mask, batch.report_tokens, 7)
    other.sentence_tokens = torch.where(batch.sentence_mask, batch.sentence_tokens, 7)
    for (term, one), two in zip(added(method, batch).items(), added(method, other).values(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5, msg=term)


@pytest.mark.parametrize("name", EXTRAS)
def test_weights_travel_by_state_dict_alone(name, build_with, make_batch):
    batch = make_batch()
    first, second = build_with("clip", **{name: {}}), build_with("clip", **{name: {}})
    first.train().losses(batch)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    second.load_state_dict(first.state_dict())
    for (term, one), two in zip(first.eval().losses(batch).items(), second.eval().losses(batch).values(), strict=True):
        torch.testing.assert_close(one, two, msg=term)


@pytest.mark.parametrize("name", EXTRAS)
def test_a_few_steps_lower_the_loss(name, build_with, make_batch, step):
    method, batch = build_with("clip", **{name: {}}).train(), make_batch()
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    history = []
    for _ in range(14):
        optimizer.zero_grad()
        loss = sum(added(method, batch).values())
        loss.backward()
        optimizer.step()
        history.append(loss.item())
        if name == "tcl":  # it takes the images of earlier steps for others, and with more equal texts log k rises
            method.auxiliary["tcl"].images.filled.zero_()
            method.auxiliary["tcl"].texts.groups.fill_(-1)
    assert min(history[-4:]) < 0.95 * history[1]
