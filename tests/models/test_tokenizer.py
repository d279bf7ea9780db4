"""WordPiece on a corpus: what it learns, what it leaves, and that it comes back from disk the same.
The vocabulary against a slow trainer that counts everything anew, by hand, and in two interpreters.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections import Counter

import pytest
import torch

from medvlp.models import ReportTokenizer, learn_wordpieces

CORPUS = ["No pleural effusion.", "There is a pneumothorax of 12 mm.", "Pleural effusion, pneumothorax."] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return ReportTokenizer.train(CORPUS, vocab_size=200)


def test_known_words_come_back(tokenizer):
    ids, mask = tokenizer(["No PNEUMOTHORAX of 12 mm.", "effusion"], 32)
    assert tokenizer.decode(ids[0][mask[0]].tolist()) == "no pneumothorax of 1 2 mm."
    assert ids.dtype == torch.int64
    assert mask.dtype == torch.bool
    assert ids[0, 0] == tokenizer.cls_id
    assert ids[0, mask[0].sum() - 1] == tokenizer.sep_id


def test_rows_are_padded_to_the_longest(tokenizer):
    ids, mask = tokenizer(["no effusion", "no"], 32)
    assert mask.sum(1).tolist() == [4, 3]
    assert ids.shape[1] == 4
    assert (ids[~mask] == tokenizer.pad_id).all()


def test_long_texts_lose_their_end_but_not_the_separator(tokenizer):
    ids, mask = tokenizer(["no effusion " * 50], 10)
    assert ids.shape == (1, 10)
    assert mask.all()
    assert ids[0, -1] == tokenizer.sep_id


def test_a_text_without_words_has_no_token(tokenizer):
    ids, mask = tokenizer(["", " \n", "no"], 8)
    assert mask.any(1).tolist() == [False, False, True]
    assert (ids[:2] == tokenizer.pad_id).all()
    assert tokenizer([""], 8)[0].shape == (1, 1)


def test_an_unknown_character_is_unknown_and_not_lost(tokenizer):
    ids, _ = tokenizer(["no Ω"], 8)
    assert ids[0, 2] == tokenizer.unk_id


def test_it_comes_back_from_disk(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer")
    loaded = ReportTokenizer.load(tmp_path / "tokenizer")
    for first, second in zip(tokenizer(CORPUS, 6), loaded(CORPUS, 6), strict=True):
        assert torch.equal(first, second)
    assert loaded.vocab_size == tokenizer.vocab_size


def test_words_can_be_numbered_without_a_loop(tokenizer):
    ids, mask = tokenizer(["no pneumothoraxes"], 16)
    word = ((~tokenizer.continues_word()[ids]) & mask).cumsum(1)[0]
    pieces = [tokenizer._tokenizer.id_to_token(i) for i in ids[0].tolist()]
    assert len(pieces) > 4  # the plural is not one piece
    expected, number = [], 0
    for piece in pieces:
        number += not piece.startswith("##")
        expected.append(number)
    assert word.tolist() == expected


def test_a_folder_without_a_tokenizer_is_refused_and_nothing_is_asked_of_the_hub(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        ReportTokenizer.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        ReportTokenizer.load(tmp_path / "missing")


def test_a_vocabulary_of_another_kind_is_refused(tmp_path):
    from tokenizers import Tokenizer, models

    Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="WordPiece"):
        ReportTokenizer.load(tmp_path)


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match="empty"):
        ReportTokenizer.train(["", "  "])


def test_offsets_point_to_the_words_of_each_token():
    tokenizer = ReportTokenizer.train(["pleural effusion, small"] * 2, vocab_size=60)
    text = "Small  pleural\neffusion of the pleura"
    ids, mask = tokenizer([text, ""], 12)
    offsets, nothing = tokenizer.offsets([text, ""], 12)
    assert len(offsets) == mask[0].sum()
    assert (offsets[[0, -1]] == -1).all()
    assert (nothing == -1).all()
    for token, (begin, end) in zip(ids[0, 1:4].tolist(), offsets[1:4].tolist(), strict=True):
        assert tokenizer.decode([token]) == text[begin:end].lower()


def slow(words: dict[str, int], vocab_size: int, min_frequency: int) -> list[str]:
    spelled = {word: [word[0], *("##" + c for c in word[1:])] for word in words}
    pieces = sorted({piece for word in spelled.values() for piece in word})
    while len(pieces) < vocab_size:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelled.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < min_frequency:
            break
        joined = best[0] + best[1][2:]
        if joined not in pieces:
            pieces.append(joined)
        for parts in spelled.values():
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == best:
                    parts[i : i + 2] = [joined]
                i += 1
    return pieces


@pytest.mark.parametrize("seed", range(8))
def test_equals_a_slow_trainer(seed: int) -> None:
    draw = random.Random(seed)
    words = {"".join(draw.choices("abcn", k=draw.randint(1, 7))): draw.randint(1, 9) for _ in range(60)}
    assert learn_wordpieces(words, 70, 3) == slow(words, 70, 3)


def test_by_hand() -> None:
    assert learn_wordpieces({"lung": 3, "lungs": 2, "sun": 1}, 100, 2) == [
        *("##g", "##n", "##s", "##u", "l", "s"),
        *("##un", "##ung", "lung", "lungs"),
    ]


def test_size_and_frequency_end_it() -> None:
    words = {"aa": 5, "bb": 4, "cc": 1}
    assert learn_wordpieces(words, 7, 2)[6:] == ["aa"]
    assert learn_wordpieces(words, 100, 2)[6:] == ["aa", "bb"]
    assert len(learn_wordpieces(words, 1, 2)) == 6


def test_two_interpreters_agree() -> None:
    script = (
        "from medvlp.models.tokenizer import ReportTokenizer as R\n"
        "texts = ['There is pleural effusion.', 'No effusion.', 'Left lower lobe opacity, 12 mm.'] * 3\n"
        "print(R.train(texts, 120)._tokenizer.to_str())"
    )
    runs = {subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 1
