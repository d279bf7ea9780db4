"""Auxiliary losses and augmentations by name: files of this folder, and plug-ins of the group `medvlp.auxiliary`."""

from __future__ import annotations

from medvlp.methods.auxiliary.base import Auxiliary
from medvlp.registry import Registry


def _check_auxiliary(member: object) -> None:
    if not (isinstance(member, type) and issubclass(member, Auxiliary)):
        raise TypeError(f"{member!r} is no class derived from AuxiliaryLoss or Augmentation")


AUXILIARY: Registry[type[Auxiliary]] = Registry(
    "auxiliary loss", "medvlp.methods.auxiliary", "medvlp.auxiliary", _check_auxiliary
)
register_auxiliary = AUXILIARY.register
