"""`HostSyncs`: counts what makes the host wait for the device, on any device, so that a test on a CPU finds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
# Operators whose result the host needs before it can go on: a value, or the size of what comes out.
_WAITING = {
    _aten._local_scalar_dense,
    _aten.nonzero,
    _aten.masked_select,
    _aten.equal,
    _aten._unique,
    _aten._unique2,
    _aten.unique_dim,
    _aten.unique_consecutive,
}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
_READING = {Tensor.tolist, Tensor.numpy, Tensor.cpu}  # no operator at all for a tensor that is on the CPU already


class HostSyncs(TorchFunctionMode):
    """Context in which each host sync is noted.

    Example:
        >>> with HostSyncs() as syncs:
        ...     _ = torch.ones(3).sum().item()
        >>> syncs.found
        ['aten._local_scalar_dense']

    Attributes:
        found: names of what waited, in order: reading a value (`.item()`, `.tolist()`, `if tensor:`, a copy to the
            host), and operators whose result has a size that only the device knows (`nonzero`, boolean indexing, ...).
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._operators = _Operators(self.found)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function in _READING:
            self.found.append(f"Tensor.{function.__name__}")
        return function(*args, **(kwargs or {}))

    def __enter__(self) -> HostSyncs:
        self._operators.__enter__()
        super().__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        self._operators.__exit__(kind, error, at)


class _Operators(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        packet = function.overloadpacket
        if (
            packet in _WAITING
            or (packet in _INDEXING and any(_is_mask(index) for index in args[1]))
            or (packet is _aten.repeat_interleave and (kwargs or {}).get("output_size") is None)
            or (packet in (_aten._to_copy, _aten.copy_) and _leaves_device(args, result))
        ):
            self.found.append(f"aten.{packet.__name__}")
        return result


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def _leaves_device(args: Sequence[Any], result: Tensor) -> bool:
    tensors = [argument for argument in args if isinstance(argument, Tensor)]
    return result.device.type == "cpu" and any(tensor.device.type != "cpu" for tensor in tensors)
