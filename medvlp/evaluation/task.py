"""`EvaluationTask`: one thing that is measured; a file of this folder that registers one is all it takes."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from medvlp.data.store import Store
from medvlp.evaluation.protocol import Protocol
from medvlp.evaluation.result import Result
from medvlp.registry import Registry
from medvlp.tasks.admission import TaskError
from medvlp.tasks.inference import Progress
from medvlp.tasks.model import Model
from medvlp.training.recipe_errors import explain

DEFAULT = "label"
_OLD_NAMES = {"zero-shot": "label"}


class TaskOptions(BaseModel):
    """Settings of one task beside the protocol; a subclass adds its own. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    batch_size: PositiveInt = 64


class EvaluationTask(ABC):
    """One thing that is measured. The first line of the docstring is its help.

    Class attributes:
        Options: its settings beside the protocol; `medvlp evaluate ... key=value` and its help are made from them.
        unused: fields of `Protocol` that do not touch its figures; a value given for one is refused.
    """

    Options: ClassVar[type[TaskOptions]] = TaskOptions
    unused: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def evaluate(
        self, model: Model, store: Store, protocol: Protocol, options: Any, progress: Progress | None = None
    ) -> Result:
        """Measure.

        Args:
            model: of `medvlp.load`; `model.pretrained` and `model.segmenter` refuse a model that lacks the part.
            store: prepared as the model's training images.
            protocol: which images and labels count.
            options: an `Options` of this task.
            progress: called with how many are done and how many there are.

        Raises:
            TaskError: the model, the store and the protocol do not go together.
        """


def _check(member: object) -> None:
    if not (isinstance(member, type) and issubclass(member, EvaluationTask)) or inspect.isabstract(member):
        raise TypeError(f"{member!r} is no class with `evaluate` that inherits from medvlp.evaluation.EvaluationTask")


TASKS: Registry[type[EvaluationTask]] = Registry("evaluation task", "medvlp.evaluation", "medvlp.tasks", _check)
register = TASKS.register


def evaluate(
    model: Model,
    store: Store,
    task: str = DEFAULT,
    protocol: Protocol | None = None,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Measure a model on a split of a store, as `medvlp evaluate` does.

        result = evaluate(medvlp.load("runs/devide"), Store.open("store"), "grounding", Protocol(views=["PA"]))
        result.save("results/grounding")

    Args:
        model, store, protocol, progress: as in `EvaluationTask.evaluate`; the default protocol is the test split.
        task: one of `TASKS`.
        options: of the task.

    Raises:
        UnknownMemberError: no such task; names the nearest.
        TaskError: an option that the task does not have, or what the task itself refuses.
    """
    name = current_name(task)
    protocol, chosen = protocol or Protocol(), TASKS.get(name)()
    if surplus := sorted(protocol.changed() & set(chosen.unused)):
        raise TaskError(f"the task {name} has no use for {', '.join(surplus)}; leave it out")
    return chosen.evaluate(model, store, protocol, options_of(name, options), progress)


def options_of(task: str, given: Mapping[str, Any]) -> TaskOptions:
    """The validated options of a task.

    Raises:
        UnknownMemberError: no such task.
        TaskError: a key or a value that is wrong; names the nearest valid ones.

    Examples:
        >>> options_of("grounding", {"heat_map": "evidence"}).heat_map
        'evidence'
    """
    name = current_name(task)
    model = TASKS.get(name).Options
    try:
        return model(**given)
    except ValidationError as error:
        raise TaskError(f"task {name}: {explain(error, model)}") from error


def current_name(task: str) -> str:
    """The name of a task today, for one that had another; warns."""
    if task not in _OLD_NAMES:
        return task
    warnings.warn(f"the task {task!r} is called {_OLD_NAMES[task]!r} now", FutureWarning, stacklevel=3)
    return _OLD_NAMES[task]
