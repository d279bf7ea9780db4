"""The vocabulary against a slow trainer that counts everything anew, by hand, and in two interpreters."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections import Counter

import pytest

from medvlp.models import learn_wordpieces


def slow(words: dict[str, int], vocab_size: int, min_frequency: int) -> list[str]:
    spelt = {word: [word[0], *("##" + c for c in word[1:])] for word in words}
    pieces = sorted({piece for word in spelt.values() for piece in word})
    while len(pieces) < vocab_size:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelt.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < min_frequency:
            break
        joined = best[0] + best[1][2:]
        if joined not in pieces:
            pieces.append(joined)
        for parts in spelt.values():
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
