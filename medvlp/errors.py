"""`MedVLPError`: what a user can put right. And the one "did you mean" of all messages that refuse a name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MedVLPError(Exception):
    """Base class of every error that says what a user can put right: what is wrong, where, and what to do.

    The command line prints such an error as one line and ends with status 2; any other exception is a bug.
    """


def did_you_mean(given: object, valid: Iterable[object], *, show: int = 20) -> str:
    """Advice for a name that is none of `valid`: the nearest of them, or all where they are few.

    Case, and `_` or `-` against a space, do not count. Empty where nothing is valid.

    Args:
        given: the name that was given.
        valid: the names that would have been right.
        show: list the valid names where none is near and there are at most so many; else their count.

    Examples:
        >>> did_you_mean("aurocc", ["auroc", "loss"])
        'did you mean "auroc"?'
        >>> did_you_mean("banana", ["auroc", "loss"])
        'valid: auroc, loss'
    """
    by_plain = {_plain(name): str(name) for name in valid}
    near = get_close_matches(_plain(given), by_plain, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(quoted(by_plain[name]) for name in near)}?"
    if len(by_plain) <= show:
        return f"valid: {', '.join(by_plain.values())}" if by_plain else ""
    return f"none of the {len(by_plain)} valid names is near it"


def quoted(name: object) -> str:
    """A name in double quotes, as error messages show it."""
    return f'"{name}"'


def _plain(name: object) -> str:
    return str(name).lower().replace("_", " ").replace("-", " ").strip()


_EXTRAS = {
    "train": {
        "huggingface_hub",
        "lightning_fabric",
        "safetensors",
        "segmentation_models_pytorch",
        "sklearn",
        "tensorboard",
        "timm",
        "tokenizers",
        "torch",
        "torchvision",
        "transformers",
    },
}


def install_advice(package: str) -> str | None:
    """What to install where an optional package is missing; None for a package of no extra.

    Examples:
        >>> install_advice("torch")
        "torch is not installed; models need the extra `train`: pip install 'medvlp[train]'"
    """
    for extra, packages in _EXTRAS.items():
        if package.partition(".")[0] in packages:
            return f"{package} is not installed; models need the extra `{extra}`: pip install 'medvlp[{extra}]'"
    return None
