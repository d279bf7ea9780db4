"""`Registry`: the classes or functions of one kind (methods, sources, tasks, ...) by name.

Three ways in: a file in the kind's own folder, an entry point of an installed package, or `add` in the user's own code.
Every list of names (help texts, tests, documentation, comparison) is made from a registry and from nothing else.
"""

from __future__ import annotations

import logging
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from medvlp.errors import MedVLPError, did_you_mean

T = TypeVar("T")
Member = TypeVar("Member")


class UnknownMemberError(MedVLPError, KeyError):
    """A name that nothing is registered under; the message names the nearest."""

    def __str__(self) -> str:
        return str(self.args[0])


class Registry(Generic[T]):
    """Name -> member of one kind.

    Args:
        kind: what a member is, as messages call it: "method", "data source", ...
        package: dotted name of the folder whose files register their members on import; imported at the first look-up.
        group: entry-point group by which installed packages add members, such as `medvlp.methods`.
        check: raises TypeError for what is no member of this kind (an entry point may name anything).

    Examples:
        >>> shapes = Registry("shape")
        >>> @shapes.register("square")
        ... class Square: ...
        >>> shapes.names()
        ['square']
        >>> shapes.get("sqare")
        Traceback (most recent call last):
        ...
        medvlp.registry.UnknownMemberError: no shape "sqare"; did you mean "square"?
    """

    def __init__(
        self,
        kind: str,
        package: str | None = None,
        group: str | None = None,
        check: Callable[[object], None] | None = None,
    ) -> None:
        self.kind, self.package, self.group = kind, package, group
        self._check = check
        self._members: dict[str, T] = {}
        self._refused: dict[str, str] = {}
        self._waiting: list[EntryPoint] | None = None
        self._folder_is_imported = package is None

    def register(self, name: str) -> Callable[[Member], Member]:
        """Decorator: `add` the class or function under `name`."""

        def keep(member: Member) -> Member:
            self.add(name, member)  # type: ignore[arg-type]
            return member

        return keep

    def add(self, name: str, member: T) -> None:
        """Make a member known.

        Raises:
            ValueError: the name belongs to another member. The same one, imported anew, may be added again.
        """
        other = self._members.setdefault(name, member)
        if _identity(other) != _identity(member):
            raise ValueError(f"the {self.kind} {name!r} is already {'.'.join(_identity(other))}")
        self._members[name] = member

    def get(self, name: str) -> T:
        """The member of a name.

        Raises:
            UnknownMemberError: there is none, or its plug-in was refused; says why, or names the nearest.
        """
        self._load()
        if name in self._members:
            return self._members[name]
        if name in self._refused:
            raise UnknownMemberError(f"the {self.kind} {self._refused[name]}")
        raise UnknownMemberError(f'no {self.kind} "{name}"; {did_you_mean(name, self._members)}')

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._members)

    def refused(self) -> dict[str, str]:
        """Names of plug-ins that could not be used, and why."""
        self._load()
        return dict(self._refused)

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def _load(self) -> None:
        """Import the folder's files, and every plug-in once. One that fails is logged and stops no other."""
        if not self._folder_is_imported:
            for module in pkgutil.iter_modules(import_module(str(self.package)).__path__):
                if not module.name.startswith("_"):
                    import_module(f"{self.package}.{module.name}")
            self._folder_is_imported = True
        if self._waiting is None:
            found = entry_points(group=self.group) if self.group else ()
            self._waiting = sorted(found, key=lambda entry: (entry.name, entry.value))
        while self._waiting:
            entry = self._waiting.pop(0)  # before it is imported: its module may ask for other members
            try:
                member = entry.load()
                if self._check:
                    self._check(member)
                self.add(entry.name, member)
            except Exception as error:  # whatever another's module raises
                owner = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
                why = f"{type(error).__name__}: {error}"
                self._refused[entry.name] = f"{entry.name!r} ({entry.value}){owner} cannot be used: {why}"
                logging.getLogger(__name__).warning(f"the {self.kind} {self._refused[entry.name]}")


def _identity(member: object) -> tuple[str, str]:
    kind = member if hasattr(member, "__qualname__") else type(member)
    return str(getattr(kind, "__module__", "")), str(getattr(kind, "__qualname__", ""))
