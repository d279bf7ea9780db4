"""Heads that `medvlp finetune` puts on a pretrained encoder: one file each, which registers itself.

May import whatever the rest of training may. An installed package adds heads as entry points of the group
`medvlp.heads`. Begin with `base.Head`, then `classification`, the shortest one.
"""

from __future__ import annotations

from medvlp.registry import Registry
from medvlp.training.heads.base import Head


def _check_head(member: object) -> None:
    if not (isinstance(member, type) and issubclass(member, Head)):
        raise TypeError(f"{member!r} is no subclass of medvlp.training.heads.Head")


heads: Registry[type[Head]] = Registry("head", package=__name__, group="medvlp.heads", check=_check_head)

__all__ = ["Head", "heads"]
