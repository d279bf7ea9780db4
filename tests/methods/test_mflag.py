"""M-FLAG: its loss written out, a text tower that never moves, and a latent space that becomes orthogonal."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import build_method
from medvlp.models import ImageEncoder, TextEncoder

DIM = 8  # of the latent; with fewer images than this the identity is out of reach


@pytest.fixture
def narrow(tokenizer):
    """`narrow(**options)`: a method whose latent is narrower than the batch."""

    def make(freeze=False, **options):
        torch.manual_seed(0)
        return build_method(
            "mflag",
            image_encoder=ImageEncoder("test_resnet", image_size=64, dim=DIM),
            text_encoder=TextEncoder("small", tokenizer.vocab_size, layers=1, width=32, heads=2, freeze=freeze),
            tokenizer=tokenizer,
            findings=("edema",),
            book=KnowledgeBook.load("default"),
            options={"dim": 16, "hidden": 32, **options},
        )

    return make


def perceptron(head, x):
    """The projector with torch's own batch norm."""
    hidden = F.batch_norm(head.inner(x), None, None, head.inner_norm.weight, head.inner_norm.bias, training=True)
    return F.batch_norm(head.outer(hidden.relu()), None, None, training=True)


def test_the_loss_is_the_papers(narrow, make_batch):
    method, batch = narrow(orthogonality_weight=0.5, off_diagonal=0.0051), make_batch(6)
    batch.report_mask[2] = False
    kept = [0, 1, 3, 4, 5]
    z = method.image_encoder(batch.images).global_[kept]
    t = method.text_encoder(batch.report_tokens, batch.report_mask).global_[kept]
    p, q = perceptron(method.image_head, z), perceptron(method.text_head, t)
    align, orth = 0.0, 0.0
    for b in range(5):
        cosine = (p[b] @ q[b]) / (p[b].norm() * q[b].norm())
        align = align + ((2 - 2 * cosine) + (2 - 2 * cosine)) / 5
    for i in range(DIM):
        for j in range(DIM):
            c = (z[:, i] * z[:, j]).sum() / 5
            orth = orth + 0.5 * ((c - 1) ** 2 if i == j else 0.0051 * c**2)
    losses = method(batch)
    torch.testing.assert_close(losses["alignment"], align, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses["orthogonality"], 0.5 * orth, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("freeze", [True, False])
def test_no_text_parameter_trains_or_moves_whatever_the_recipe_says(narrow, make_batch, freeze):
    method, batch = narrow(freeze), make_batch(6)
    for module in method.text_encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    before = {name: p.clone() for name, p in method.text_encoder.named_parameters()}
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-2)
    for _ in range(2):
        method.train()
        sum(method(batch).values()).backward()
        optimizer.step()
    first, second = (method.text_encoder(batch.report_tokens, batch.report_mask).global_ for _ in range(2))
    assert torch.equal(first, second)  # no dropout, though `.train()` was called
    method.text_encoder.network.train()
    assert not torch.equal(first, method.text_encoder(batch.report_tokens, batch.report_mask).global_)
    for name, parameter in method.text_encoder.named_parameters():
        assert not parameter.requires_grad
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])
    assert any(p.grad.any() for p in method.text_head.parameters())


def distance_after_training(method, images, batch, steps=50):
    """How far C is from the identity, before and after: 0 for orthogonal features, 1 for features of zero."""

    def distance():
        with torch.no_grad():
            z = method.eval().image_encoder(images).global_
        return ((z.t() @ z / len(z) - torch.eye(DIM)).norm() / DIM**0.5).item()

    batch.images = images
    before = distance()
    optimizer = torch.optim.AdamW(method.parameters(), lr=5e-3)
    for _ in range(steps):
        method.train()
        optimizer.zero_grad()
        sum(method(batch).values()).backward()
        optimizer.step()
    return before, distance()


def test_the_latent_becomes_orthogonal_and_does_not_without_the_term(narrow, make_batch):
    batch = make_batch(32)
    torch.manual_seed(3)
    # Images that differ in more than noise: smooth random fields.
    images = F.interpolate(torch.randn(32, 1, 4, 4), size=32, mode="bilinear") * 2
    before, after = distance_after_training(narrow(), images, batch)
    same, without = distance_after_training(narrow(orthogonality_weight=0.0), images, batch)
    assert before == pytest.approx(same)
    assert after < 0.5
    assert without > 0.9


def test_the_balance_of_diagonal_and_rest_is_the_papers_at_every_width(narrow):
    assert narrow().off_diagonal * DIM == pytest.approx(0.0051 * 2048)
    assert narrow(off_diagonal=0.2).off_diagonal == 0.2


def test_zero_shot_is_the_mean_over_prompt_pairs_of_a_softmax(narrow, make_batch):
    method, images = narrow(sharpness=5.0).eval(), make_batch(3).images
    image = method.encode_images(images).global_
    expected = []
    for present, absent in method.options.prompts:
        pair = method.encode_texts([present.format("pulmonary edema"), absent.format("pulmonary edema")]).global_
        expected.append((5 * image @ pair.t()).softmax(1)[:, 0])
    torch.testing.assert_close(method.score(images, ["edema"])[:, 0], torch.stack(expected).mean(0))


@pytest.mark.parametrize("sharpness", [0, 200])
def test_a_sharpness_that_no_scale_has_is_refused_by_its_name(narrow, sharpness):
    with pytest.raises(ValueError, match="sharpness"):
        narrow(sharpness=sharpness)


def test_maps_follow_the_projected_patches(narrow, make_batch):
    method, images = narrow().eval(), make_batch(2).images
    patches = method.image_head(method.image_encoder(images).patches)
    phrase = method.text_head(method.bank(["left pleural effusion"]).global_)
    expected = (patches @ phrase[0]).unflatten(1, method.image_encoder.grid)
    torch.testing.assert_close(method.heat_map(images, "left pleural effusion"), expected)
