"""`TextEncoder`: a BERT from the hub, from a folder, or a small one from sizes, as a source of `TextFeatures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, BertConfig, PreTrainedConfig

from medvlp.models.encoders import TextFeatures, text_encoders


class TextEncoder(nn.Module):
    """Token ids -> `TextFeatures`.

    Args:
        name: `small` for a BERT of the sizes below with random weights, else a folder or a hub name that transformers
            knows (the only case in which something is downloaded).
        vocab_size: entries of the tokenizer. Needed for `small`; for others it is checked against the network.
        layers, width, heads, max_tokens: sizes of `small`; ignored otherwise.
        pooling: `mean` over tokens, or `cls`. A small BERT learns several times faster from means; networks that were
            trained with their first token want `cls`.
        freeze: no gradient, and always evaluation mode: `.train()` does not turn on the dropout of a frozen encoder.
        pretrained: read weights; False builds the network of that name from its configuration alone, for weights to be
            loaded over it.

    Attributes:
        dim: width D. frozen: whether it is.

    Examples:
        >>> encoder = TextEncoder("small", vocab_size=100, width=16, heads=2)
        >>> encoder(torch.ones(3, 5, dtype=torch.long), torch.ones(3, 5, dtype=torch.bool)).global_.shape
        torch.Size([3, 16])
    """

    def __init__(
        self,
        name: str | Path = "small",
        vocab_size: int | None = None,
        layers: int = 2,
        width: int = 128,
        heads: int = 4,
        max_tokens: int = 256,
        pooling: Literal["mean", "cls"] = "mean",
        freeze: bool = False,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.pooling, self.frozen = pooling, False
        if str(name) == "small":
            if vocab_size is None:
                raise ValueError("text_encoder.name `small` needs the tokenizer's vocab_size")
            config: PreTrainedConfig = _small_bert(vocab_size, layers, width, heads, max_tokens)
            # The fused attention of CPUs is slow backwards: a step of devide takes 376 ms with it, 320 ms without.
            self.network = AutoModel.from_config(config, attn_implementation="eager")
        elif pretrained:
            self.network = AutoModel.from_pretrained(str(name))
        else:
            self.network = AutoModel.from_config(AutoConfig.from_pretrained(str(name)))
        if getattr(self.network, "pooler", None) is not None:
            self.network.pooler = None  # BERT's next-sentence head: unused, and would only cost gradients
        vocabulary = int(self.network.config.vocab_size)
        if vocab_size is not None and vocabulary < vocab_size:
            raise ValueError(
                f"text_encoder {name} knows {vocabulary} tokens and the tokenizer has {vocab_size}; load the tokenizer "
                "that belongs to the encoder"
            )
        self.dim = int(self.network.config.hidden_size)
        self.max_tokens = int(self.network.config.max_position_embeddings)
        if freeze:
            self.freeze()

    def freeze(self) -> None:
        """No gradient and always evaluation mode; for methods that need a frozen text encoder."""
        self.frozen = True
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> TextEncoder:
        """As in torch, but a frozen encoder stays in evaluation mode."""
        return super().train(mode and not self.frozen)

    def forward(self, ids: Tensor, mask: Tensor) -> TextFeatures:
        """Token ids `[N, T]` and mask `[N, T]` (True at tokens) -> `TextFeatures`.

        A text without any token has a global vector and tokens of zero, and no gradient.
        """
        # Attention over nothing is 0/0: an empty text attends to its first padding token, and is zeroed afterwards.
        attended = mask.clone()
        attended[:, 0] |= ~mask.any(1)
        # For a mask [N, T] transformers checks whether it is all True, and waits for the device at each call.
        attended = attended[:, None, None].expand(-1, 1, mask.shape[1], -1)
        if self.network.config._attn_implementation == "eager":  # which adds its mask to the logits
            attended = torch.zeros(attended.shape, device=mask.device).masked_fill(~attended, torch.finfo().min)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            hidden = self.network(input_ids=ids, attention_mask=attended).last_hidden_state
            tokens = hidden * mask[..., None]
            mean = tokens.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
            global_ = tokens[:, 0] if self.pooling == "cls" else mean
        return TextFeatures(global_, tokens, mask)

    def save_config(self, folder: str | Path) -> None:
        """Write `config.json`; `TextEncoder(folder, pretrained=False)` then builds the same network, offline."""
        self.network.config.save_pretrained(str(folder))


@text_encoders.register("small")
def small_bert(**settings: Any) -> TextEncoder:
    """A BERT of given sizes with random weights; `settings` are those of `TextEncoder`."""
    return TextEncoder("small", **settings)


def build_text_encoder(name: str, config: str | Path | None = None, **settings: Any) -> Any:
    """The registered encoder of a name, else the network of that name on the hub or in a folder.

    Args:
        name: of `text_encoders`, a hub name or a folder.
        config: a folder written by `save_config`: the network is built from it without weights, for weights to be
            loaded over it.
        settings: `vocab_size, layers, width, heads, max_tokens, pooling, freeze`, passed on as they are.

    Examples:
        >>> encoder = build_text_encoder("small", vocab_size=100, width=16, heads=2)
        >>> encoder(torch.ones(3, 5, dtype=torch.long), torch.ones(3, 5, dtype=torch.bool)).tokens.shape
        torch.Size([3, 5, 16])
    """
    if name in text_encoders or name in text_encoders.refused():
        return text_encoders.get(name)(pretrained=config is None, **settings)
    return TextEncoder(name if config is None else config, pretrained=config is None, **settings)


def _small_bert(vocab_size: int, layers: int, width: int, heads: int, max_tokens: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=max_tokens,
        hidden_dropout_prob=0.0,  # a tower this small, trained for a few passes, underfits before it overfits
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
