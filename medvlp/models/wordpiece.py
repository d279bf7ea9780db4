"""Learning a WordPiece vocabulary, the same one every time.

The trainer of the `tokenizers` library walks a hash table in random order, so that ids, and the merges among pairs that
are equally frequent, differ from run to run; weights trained on them could never be repeated. This one breaks ties by
the pieces themselves.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping

CONTINUES = "##"  # prefix of a piece that continues a word
_Pair = tuple[str, str]


def learn_wordpieces(words: Mapping[str, int], vocab_size: int, min_frequency: int = 2) -> list[str]:
    """Pieces of a vocabulary: all single characters, sorted, then the results of merges in the order they were learnt.

    Byte-pair merging (Sennrich et al. 2016) on words of characters: the most frequent pair of neighbours becomes one
    piece, again and again; among equally frequent pairs the alphabetically first.

    Args:
        words: how often each word occurs.
        vocab_size: merging ends when there are so many pieces; the characters are kept even if they are more.
        min_frequency: merging ends when no pair is as frequent.
    """
    spelt = [[word[0], *(CONTINUES + character for character in word[1:])] for word in words]
    counts = list(words.values())
    pieces = dict.fromkeys(sorted({piece for word in spelt for piece in word}))
    frequency: Counter[_Pair] = Counter()
    where: defaultdict[_Pair, set[int]] = defaultdict(set)
    for i, word in enumerate(spelt):
        for pair in itertools.pairwise(word):
            frequency[pair] += counts[i]
            where[pair].add(i)
    queue = [(-count, pair) for pair, count in frequency.items()]
    heapq.heapify(queue)
    while queue and len(pieces) < vocab_size:
        count, pair = heapq.heappop(queue)
        if -count != frequency[pair]:
            continue  # an entry from before its frequency changed; the current one is further down
        if -count < min_frequency:
            break
        pieces[_joined(pair)] = None
        changed: Counter[_Pair] = Counter()
        for i in where.pop(pair):
            before, after = spelt[i], _merged(spelt[i], pair)
            spelt[i] = after
            for old in itertools.pairwise(before):
                changed[old] -= counts[i]
            for new in itertools.pairwise(after):
                changed[new] += counts[i]
                where[new].add(i)
        for other, difference in changed.items():
            frequency[other] += difference
            if difference and frequency[other] > 0:
                heapq.heappush(queue, (-frequency[other], other))
    return list(pieces)


def _joined(pair: _Pair) -> str:
    return pair[0] + pair[1].removeprefix(CONTINUES)


def _merged(word: list[str], pair: _Pair) -> list[str]:
    """The word with each occurrence of the pair as one piece, from the left."""
    merged: list[str] = []
    for piece in word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] = _joined(pair)
        else:
            merged.append(piece)
    return merged
