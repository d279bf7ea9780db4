"""Fixed texts are encoded once for the same weights, and anew for others."""

import pytest
import torch

from medvlp.models import ReportTokenizer, TextBank, TextEncoder

TEXTS = ["no effusion", "effusion", ""]


class Counting(TextEncoder):
    calls = 0

    def forward(self, ids, mask):
        self.calls += 1
        return super().forward(ids, mask)


@pytest.fixture
def tokenizer():
    return ReportTokenizer.train(["no effusion", "effusion of the pleura"], vocab_size=60, min_frequency=1)


def bank_of(tokenizer, freeze=False):
    encoder = Counting("small", vocab_size=tokenizer.vocab_size, layers=1, width=16, heads=2, freeze=freeze)
    return TextBank(encoder, tokenizer)


def test_without_gradient_features_are_kept_until_the_weights_change(tokenizer):
    bank = bank_of(tokenizer)
    with torch.no_grad():
        first = bank(TEXTS)
        assert bank(TEXTS) is first
        assert bank.encoder.calls == 1
        next(bank.encoder.parameters()).add_(1.0)
        assert not torch.equal(bank(TEXTS).global_, first.global_)
        bank.encoder.load_state_dict(bank.encoder.state_dict())
        bank(TEXTS)
    assert bank.encoder.calls == 3


def test_a_learning_encoder_gives_features_with_gradient_each_time(tokenizer):
    bank = bank_of(tokenizer)
    assert bank(TEXTS).global_.requires_grad
    bank(TEXTS)
    assert bank.encoder.calls == 2


def test_a_frozen_encoder_reads_its_book_once(tokenizer):
    bank = bank_of(tokenizer, freeze=True)
    bank(TEXTS)
    bank(TEXTS)
    assert bank.encoder.calls == 1


def test_it_equals_the_encoder(tokenizer):
    bank = bank_of(tokenizer)
    ids, mask = tokenizer(TEXTS, bank.encoder.max_tokens)
    torch.testing.assert_close(bank(TEXTS).global_, bank.encoder(ids, mask).global_)
