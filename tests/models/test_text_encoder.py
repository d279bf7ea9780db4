"""Small BERTs: padding, empty texts, freezing, and the way through a folder."""

import pytest
import torch

from medvlp.models import TextEncoder

IDS = torch.tensor([[2, 7, 8, 9, 3], [2, 7, 3, 0, 0], [0, 0, 0, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return TextEncoder("small", vocab_size=20, layers=2, width=16, heads=2).eval()


def test_it_equals_transformers_own_masking(encoder):
    hidden = encoder.network(input_ids=IDS[:2], attention_mask=MASK[:2].long()).last_hidden_state
    features = encoder(IDS, MASK)
    torch.testing.assert_close(features.tokens[:2], hidden * MASK[:2, :, None])
    torch.testing.assert_close(features.global_[0], hidden[0].mean(0))
    torch.testing.assert_close(features.global_[1], hidden[1, :3].mean(0))


def test_what_stands_in_the_padding_does_not_matter(encoder):
    junk = torch.where(MASK, IDS, 13)
    torch.testing.assert_close(encoder(junk, MASK).global_, encoder(IDS, MASK).global_)


def test_an_empty_text_is_zero_and_sends_no_gradient(encoder):
    features = encoder(IDS, MASK)
    assert torch.equal(features.global_[2], torch.zeros(16))
    features.global_[2].sum().backward()
    assert all(not p.grad.any() for p in encoder.parameters() if p.grad is not None)


def test_the_first_token_can_be_the_text():
    torch.manual_seed(0)
    encoder = TextEncoder("small", vocab_size=20, layers=1, width=16, heads=2, pooling="cls").eval()
    features = encoder(IDS, MASK)
    torch.testing.assert_close(features.global_, features.tokens[:, 0])


def test_a_frozen_tower_stays_as_it_is():
    encoder = TextEncoder("small", vocab_size=20, layers=1, width=16, heads=2, freeze=True)
    encoder.network.config.hidden_dropout_prob = 0.5
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    parent = torch.nn.Sequential(encoder)
    parent.train()
    assert not encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
    first, second = encoder(IDS, MASK), encoder(IDS, MASK)
    assert torch.equal(first.tokens, second.tokens)
    assert not first.global_.requires_grad


def test_a_folder_with_weights_and_a_folder_with_sizes_alone(encoder, tmp_path):
    encoder.network.save_pretrained(tmp_path / "bert")
    read = TextEncoder(tmp_path / "bert").eval()
    torch.testing.assert_close(read(IDS, MASK).global_, encoder(IDS, MASK).global_)
    encoder.save_config(tmp_path / "config")
    empty = TextEncoder(tmp_path / "config", pretrained=False).eval()
    assert empty.dim == encoder.dim
    empty.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(empty(IDS, MASK).global_, encoder(IDS, MASK).global_)


def test_a_tokenizer_that_does_not_belong_to_it_is_refused(encoder, tmp_path):
    encoder.network.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="20 tokens"):
        TextEncoder(tmp_path, vocab_size=21)
    with pytest.raises(ValueError, match="vocab_size"):
        TextEncoder("small")
