"""`LabelCaptions`: sentences made from labels, as tokens, drawn for a batch without a loop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medvlp.knowledge import KnowledgeBook
from medvlp.knowledge.prompts import PromptSet
from medvlp.knowledge.study_labels import NO_FINDING
from medvlp.models.tokenizer import ReportTokenizer
from medvlp.reports.states import FindingState


class LabelCaptions(nn.Module):
    """Templates filled with a finding that is present, and with what it is a kind of (KEEP's hierarchical captions).

    Args:
        findings: ids, the columns of the states. book: their names.
        tokenizer: of the text encoder. max_tokens: longer captions lose their end.
        prompt_set: of `medvlp.knowledge.prompts`, whose sentences for presence are taken; those of `no_finding` are for
            images on which nothing is present.

    Attributes:
        cut: captions longer than `max_tokens` -> how many tokens each loses.
    """

    ids: Tensor
    mask: Tensor

    def __init__(
        self,
        findings: Sequence[str],
        book: KnowledgeBook,
        tokenizer: ReportTokenizer,
        max_tokens: int,
        prompt_set: str = "hierarchy",
    ) -> None:
        super().__init__()
        prompts = PromptSet.load(prompt_set)
        said = [prompts.prompts(finding, book).present for finding in (*findings, NO_FINDING)]
        most = max(map(len, said))
        self.cut = tokenizer.cut((text for texts in said for text in texts), max_tokens)
        ids, mask = tokenizer([texts[k % len(texts)] for texts in said for k in range(most)], max_tokens)
        self.register_buffer("ids", ids.unflatten(0, (len(said), most)), persistent=False)
        self.register_buffer("mask", mask.unflatten(0, (len(said), most)), persistent=False)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """States int8 `[B, F]` -> ids int64 and mask bool `[B, T]`: one present finding of each image, drawn."""
        present = states == FindingState.PRESENT
        order = torch.rand(present.shape, device=states.device).masked_fill(~present, -1.0)
        normal = order.new_full((len(order), 1), -0.5)  # behind what is present, before what is not
        finding = torch.cat([order, normal], dim=1).argmax(1)
        template = torch.randint(self.ids.shape[1], finding.shape, device=states.device)
        return self.ids[finding, template], self.mask[finding, template]
