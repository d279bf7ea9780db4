"""`TaskError`: what was asked of a model does not go with that model, that store or that index."""

from __future__ import annotations


class TaskError(ValueError):
    """A request that cannot be met; the message says what does not fit and what to do."""
