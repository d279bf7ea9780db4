"""`ReportTokenizer`: WordPiece for reports, trained on the corpus at hand or taken from a folder or the hub."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor

CONTINUES = "##"  # prefix of a piece that continues a word
_Pair = tuple[str, str]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # ids 0 to 4, the order of BERT


def learn_wordpieces(words: Mapping[str, int], vocab_size: int, min_frequency: int = 2) -> list[str]:
    """Pieces of a vocabulary: all single characters, sorted, then the results of merges in the order they were learned.

    Byte-pair merging (Sennrich et al. 2016) on words of characters: the most frequent pair of neighbors becomes one
    piece, again and again; among equally frequent pairs the alphabetically first.

    Args:
        words: how often each word occurs.
        vocab_size: merging ends when there are so many pieces; the characters are kept even if they are more.
        min_frequency: merging ends when no pair is as frequent.

    Examples:
        >>> learn_wordpieces({"aba": 3}, vocab_size=9)
        ['##a', '##b', 'a', '##ba', 'aba']
    """
    spelled = [[word[0], *(CONTINUES + character for character in word[1:])] for word in words]
    counts = list(words.values())
    pieces = dict.fromkeys(sorted({piece for word in spelled for piece in word}))
    frequency: Counter[_Pair] = Counter()
    where: defaultdict[_Pair, set[int]] = defaultdict(set)
    for i, word in enumerate(spelled):
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
            before, after = spelled[i], _merged(spelled[i], pair)
            spelled[i] = after
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


class ReportTokenizer:
    """Texts -> token ids and their mask, a batch at a time and in parallel.

    `tokenizer(texts, max_length)` is what the data layer calls. Get one from `train` or `load`; nothing is downloaded
    unless `load` is given the name of a hub model.

    Attributes:
        vocab_size: number of entries. pad_id, cls_id, sep_id, unk_id, mask_id: ids of the special tokens.

    Examples:
        >>> tokenizer = ReportTokenizer.train(["No pleural effusion."], vocab_size=64, min_frequency=1)
        >>> ids, mask = tokenizer(["No effusion.", ""], max_length=16)
        >>> tokenizer.decode(ids[0].tolist()), mask.sum(1)
        ('no effusion.', tensor([5, 0]))
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self.vocab_size = tokenizer.get_vocab_size()
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (_id(tokenizer, t) for t in _SPECIAL)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int = 4096, min_frequency: int = 2) -> ReportTokenizer:
        """Learn a lower-case WordPiece vocabulary (Wu et al. 2016, as in BERT) from texts; the same one from the same.

        Numbers are split into digits, since "12 mm" and "13 mm" would be two rare words.

        Raises:
            ValueError: no text has a word.
        """
        corpus = [text for text in texts if text.strip()]
        if not corpus:
            raise ValueError("there is no text to learn a vocabulary from: every report is empty")
        normalizer = normalizers.BertNormalizer(lowercase=True)
        pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
        )
        words: Counter[str] = Counter()
        for text, count in Counter(corpus).items():  # sentences of reports repeat
            for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text)):
                words[word] += count
        pieces = [*_SPECIAL, *learn_wordpieces(words, vocab_size - len(_SPECIAL), min_frequency)]
        tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
        tokenizer.add_special_tokens(_SPECIAL)
        tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
        tokenizer.decoder = decoders.WordPiece()
        tokenizer.post_processor = processors.BertProcessing(
            ("[SEP]", _id(tokenizer, "[SEP]")), ("[CLS]", _id(tokenizer, "[CLS]"))
        )
        return cls(tokenizer)

    @classmethod
    def load(cls, folder_or_hub: str | Path) -> ReportTokenizer:
        """Read a folder written by `save` (or any with a `tokenizer.json` or `vocab.txt`), else ask the hub.

        Raises:
            FileNotFoundError: the folder exists and holds no tokenizer, or a path is given that does not exist.
        """
        folder = Path(folder_or_hub)
        if (folder / "tokenizer.json").is_file():
            return cls(Tokenizer.from_file(str(folder / "tokenizer.json")))
        looks_like_path = folder.is_absolute() or str(folder_or_hub).startswith(".") or len(folder.parts) > 2
        if not (folder / "vocab.txt").is_file() and (folder.is_dir() or looks_like_path):
            raise FileNotFoundError(f"{folder}: no tokenizer.json and no vocab.txt; is it a tokenizer's folder?")
        from transformers import AutoTokenizer  # slow to import, and most runs have their own tokenizer.json

        return cls(AutoTokenizer.from_pretrained(str(folder_or_hub), use_fast=True).backend_tokenizer)

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json`, which transformers opens too."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._tokenizer.save(str(Path(folder) / "tokenizer.json"))

    def __call__(self, texts: Sequence[str], max_length: int) -> tuple[Tensor, Tensor]:
        """Tokenize.

        Args:
            texts: N texts. A text without any word gives a row without any token: an image without report.
            max_length: longer texts lose their end; the closing [SEP] stays.

        Returns:
            ids int64 `[N, T]`, padded with `pad_id`, and mask bool `[N, T]`; T is the longest text, at least 1.
        """
        self._tokenizer.enable_truncation(max_length)
        rows = [row.ids for row in self._tokenizer.encode_batch_fast(list(texts))]
        lengths = np.fromiter((len(ids) if len(ids) > 2 else 0 for ids in rows), np.int64, len(rows))  # 2: [CLS] [SEP]
        mask = np.arange(max(int(lengths.max(initial=0)), 1)) < lengths[:, None]
        ids = np.full(mask.shape, self.pad_id, np.int64)
        ids[mask] = np.fromiter((i for row in rows if len(row) > 2 for i in row), np.int64, int(lengths.sum()))
        return torch.from_numpy(ids), torch.from_numpy(mask)

    def truncated_texts(self, texts: Iterable[str], max_length: int) -> dict[str, int]:
        """Texts of more than `max_length` tokens -> how many tokens each loses in `self(texts, max_length)`."""
        self._tokenizer.no_truncation()
        distinct = list(dict.fromkeys(texts))
        lengths = (len(row.ids) for row in self._tokenizer.encode_batch_fast(distinct))
        return {text: n - max_length for text, n in zip(distinct, lengths, strict=True) if n > max_length}

    def offsets(self, texts: Sequence[str], max_length: int) -> list[NDArray[np.int64]]:
        """For each text the character span of each token of `self(texts, max_length)`, int64 `[T, 2]`.

        Begin and end as in a slice; (-1, -1) for [CLS] and [SEP].
        """
        self._tokenizer.enable_truncation(max_length)
        rows = self._tokenizer.encode_batch(list(texts))
        where = [np.array(row.offsets, np.int64).reshape(-1, 2) for row in rows]
        for row, offsets in zip(rows, where, strict=True):
            offsets[np.array(row.special_tokens_mask, bool)] = -1
        return where

    def decode(self, ids: Sequence[int]) -> str:
        """The words of token ids, without special tokens."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def continues_word(self) -> Tensor:
        """bool `[V]`: True for pieces such as `##thorax` that continue a word.

        `(~continues[ids]).cumsum(1)` numbers the words of a batch on the device, with no loop over tokens.
        """
        table = torch.zeros(self.vocab_size, dtype=torch.bool)
        table[[i for piece, i in self._tokenizer.get_vocab().items() if piece.startswith("##")]] = True
        return table


def _id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(
            f"the tokenizer has no {token}; medvlp needs WordPiece vocabularies with {', '.join(_SPECIAL)}"
        )
    return found
