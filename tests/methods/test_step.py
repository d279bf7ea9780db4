"""What holds of a step of every method: no host sync, no loop over the batch, every weight learns, bfloat16 runs."""

from dataclasses import fields

import pytest
import torch

from medvlp.methods.base import METHODS

METHODS = METHODS.names()


@pytest.mark.parametrize("name", METHODS)
def test_a_step_never_asks_the_device_for_a_value(name, build, make_batch, step):
    # Tensors on `meta` have no values: .item(), .cpu(), bool(), nonzero and masks as indices all raise there.
    step(build(name).train().to("meta"), make_batch().to("meta"))


@pytest.mark.parametrize("ask", [lambda x: x.sum().item(), lambda x: bool(x.sum() > 0), lambda x: x[x > 0]])
def test_the_check_for_host_syncs_sees_them(ask):
    with pytest.raises((RuntimeError, NotImplementedError)):
        ask(torch.randn(3, device="meta"))


@pytest.mark.parametrize("name", METHODS)
def test_the_number_of_operations_does_not_depend_on_the_batch(name, build, make_batch, operations):
    # Counted as an accelerator is sent them. A CPU knows how long texts are, and may treat equal lengths together.
    counts = []
    for size in (4, 9):
        method, batch = build(name).train().to("meta"), make_batch(size).to("meta")
        counts.append(operations(method, batch))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_learns(name, build, make_batch, step):
    method = build(name).train()
    step(method, make_batch())
    assert [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None] == []
    own = [(n, p) for n, p in method.named_parameters() if p.requires_grad and "_encoder." not in n]
    # A key's bias adds the same to each score of a softmax, so that its gradient is zero but for rounding.
    assert [n for n, p in own if not p.grad.abs().any() and not n.endswith("key.bias")] == []


@pytest.mark.parametrize("name", METHODS)
def test_bfloat16_autocast_changes_little(name, build, make_batch):
    method, batch = build(name).eval(), make_batch()
    exact = method(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = method(batch)
    for term, value in exact.items():
        assert rounded[term].dtype == torch.float32
        torch.testing.assert_close(rounded[term], value, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_without_reports_or_labels_costs_nothing_and_stays_finite(name, build, make_batch, step):
    batch = make_batch()
    batch.images = batch.images.flip(3) + 1
    batch.report_mask[:] = False
    batch.sentence_mask[:] = False
    batch.findings[:] = -1
    batch.sentence_findings[:] = -1
    batch.places[:] = -1
    batch.concepts[:] = batch.concepts.new_tensor([0, 0, -1, -1])
    method = build(name)
    with torch.no_grad():
        without, labeled = method.eval()(batch), method(make_batch())
    # A term that is what it was for other images, reports and labels does not read the batch at all, and may cost what
    # it likes: KAD's contrast of the book's texts with each other.
    assert [t for t, v in without.items() if v.item() != 0 and not torch.equal(v, labeled[t])] == []
    total = step(method.train(), batch)
    assert total.item() == 0 or any(v.item() != 0 for v in without.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_order_of_the_batch_does_not_matter(name, build, make_batch):
    method, batch = build(name).eval(), make_batch()
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    shuffled = make_batch()
    for field in fields(batch):
        if isinstance(value := getattr(batch, field.name), torch.Tensor):
            setattr(shuffled, field.name, value[order])
    first, second = method(batch), method(shuffled)
    for term in first:
        torch.testing.assert_close(first[term], second[term], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_few_steps_lower_the_loss(name, build, make_batch, step):
    method, batch = build(name).train(), make_batch()
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    history = []
    for _ in range(12):
        torch.manual_seed(0)  # what a method draws (a sentence, words to hide) stays, so that one loss is followed
        optimizer.zero_grad()
        history.append(step(method, batch).item())
        optimizer.step()
    assert min(history[-3:]) < 0.8 * history[0]


@pytest.mark.parametrize("name", METHODS)
def test_scores_are_probabilities_and_do_not_depend_on_neighbors(name, build, make_batch):
    method, images = build(name).eval(), make_batch().images
    with torch.no_grad():
        scores = method.score(images, ["edema", "pneumothorax"])
        alone = method.score(images[:1], ["pneumothorax"])
    assert scores.shape == (6, 2)
    assert ((scores > 0) & (scores < 1)).all()
    torch.testing.assert_close(alone, scores[:1, 1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_weights_travel_by_state_dict_alone(name, build, make_batch):
    images = make_batch().images
    first, second = build(name).eval(), build(name).eval()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
        second.score(images, ["edema"])  # what was kept for the old weights must not be used for the new ones
        second.load_state_dict(first.state_dict())
        torch.testing.assert_close(second.score(images, ["edema"]), first.score(images, ["edema"]))
