"""A step recorded once and played again, without Python, autograd and vmap in between.

A step on small tensors spends most of its time on deciding what to do: finding kernels, building a graph to walk it
backwards, wrapping tensors for vmap. None of that depends on the numbers. So the kernels that one step calls are
written down, with the tensors that each hands to the next, and called again for every later batch of the same shapes.
They are the same kernels on the same numbers: a step that is played ends up, bit for bit, where one that is worked out
would.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor
from torch.jit._trace import _create_interpreter_name_lookup_fn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

T = TypeVar("T")

#: Calls that are worked out before one is recorded: about what a recording costs, and what it saves in as many calls.
WORKED_OUT = 20
#: Kernels that hand a number to Python. What comes after may depend on it, so such a step is never played.
READING = {"aten::_local_scalar_dense", "aten::equal", "aten::nonzero", "aten::unique_dim", "aten::_unique2"}


class Replay(Generic[T]):
    """A function of tensors that is worked out at first and played later.

    Args:
        function: depends on nothing but its arguments (trees of tensors and of plain values that can be compared), on
            tensors that are never replaced, and changes none of them.

    A call with shapes or plain values that were not seen before is counted anew. What the function returns must not be
    differentiated, and the tensors that it is given are taken as they are, without their gradients' history.
    """

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        self._seen: dict[Any, int] = {}
        self._programs: dict[Any, Program | None] = {}
        self._on_trial: dict[Any, Program] = {}

    @property
    def programs(self) -> list[Program]:
        """One for each kind of call that is played."""
        return [program for program in self._programs.values() if program is not None]

    def __call__(self, *args: Any) -> T:
        """What the function returns."""
        inputs: list[Tensor] = []
        key = _shape(args, inputs)
        program = self._programs.get(key)
        if program is not None:
            return cast(T, program.play(inputs))
        if key in self._on_trial:
            return self._try(key, inputs, args)
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        if seen != WORKED_OUT + 1:
            return self._function(*args)
        out, program = _record(self._function, inputs, args)
        if program is not None:
            self._on_trial[key] = program
        return cast(T, out)

    def _try(self, key: Any, inputs: Sequence[Tensor], args: Sequence[Any]) -> T:
        """Trust a program that does on other numbers what the function does: then it has seen all that matters."""
        program, out = self._on_trial.pop(key), self._function(*args)
        pairs = zip(_tensors(program.play(inputs)), _tensors(out), strict=True)
        same = all(torch.equal(ours.nan_to_num(), theirs.nan_to_num()) for ours, theirs in pairs)
        self._programs[key] = program if same else None
        return out


class _Place(NamedTuple):
    """A tensor of the recorded call, by its number."""

    number: int


class _Call(NamedTuple):
    """One kernel with what it was given, tensors replaced by their places, and the places of the tensors it made."""

    kernel: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made: list[int]


class Program:
    """The recorded kernels, compiled into one call."""

    def __init__(
        self, calls: Sequence[_Call], constants: dict[int, Tensor], inputs: Sequence[Tensor], out: Any
    ) -> None:
        self._calls, self._constants, self._out = calls, constants, out
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that numbers become constants is what a recording is for
            # What `torch.jit.trace` does, but for keeping the result in a list of torch's own for ever: thirty runs'
            # worth of programs would take half a gigabyte.
            graph, _ = torch._C._create_graph_by_tracing(
                self._run, tuple(inputs), _create_interpreter_name_lookup_fn(), True, False
            )
            self._compiled = torch._C._create_function_from_graph("played", graph)

    @torch.no_grad()
    def play(self, inputs: Sequence[Tensor]) -> Any:
        """What the function would return for these tensors."""
        # Its optimiser would merge and reorder products, which rounds differently.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            results = self._compiled(*inputs)
        return _filled(self._out, iter(results))

    @torch.no_grad()
    def timed(self, inputs: Sequence[Tensor]) -> list[tuple[str, float]]:
        """Each kernel's name and seconds of processor time, called one after the other from Python."""
        found: list[tuple[str, float]] = []
        self._run(*inputs, clock=lambda name, seconds: found.append((name, seconds)))
        return found

    def _run(self, *given: Tensor, clock: Callable[[str, float], None] | None = None) -> tuple[Tensor, ...]:
        tensors = {**self._constants, **dict(enumerate(given))}
        for call in self._calls:
            args, kwargs = tree_map(
                lambda x: tensors[x.number] if _is_place(x) else x, (call.args, call.kwargs), is_leaf=_is_place
            )
            start = time.thread_time()
            made = call.kernel(*args, **kwargs)
            if clock is not None:
                clock(call.kernel._schema.name, time.thread_time() - start)
            tensors.update(zip(call.made, _tensors(made), strict=True))
        return tuple(tensors[place.number] for place in _places(self._out))


class _Recorder(TorchDispatchMode):
    """Writes down every kernel that is called while it is active, those of a backward pass too."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[_Call] = []
        self.constants: dict[int, Tensor] = {}
        self.reads_numbers = False
        self._numbers: dict[int, int] = {}
        self._alive: list[Tensor] = []  # a tensor that is gone could pass its identity on
        for tensor in inputs:
            self._number(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to be passed over by a compiler that nobody uses, torch would import it, which takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the kernel, and take note."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func is torch.ops.aten.detach.default:  # the same tensor under another name
            self._alive.append(out)
            self._numbers[id(out)] = self.place(args[0]).number
            return out
        self.reads_numbers |= func._schema.name in READING
        given = [tree_map(lambda x: self.place(x) if isinstance(x, Tensor) else x, part) for part in (args, kwargs)]
        # A kernel that works in place returns a tensor that has its number.
        made = [self._numbers[id(x)] if id(x) in self._numbers else self._number(x) for x in _tensors(out)]
        self.calls.append(_Call(func, given[0], given[1], made))
        return out

    def place(self, tensor: Tensor) -> _Place:
        """Where a tensor comes from; one that nothing made is a constant."""
        if id(tensor) not in self._numbers:
            self.constants[self._number(tensor)] = tensor
        return _Place(self._numbers[id(tensor)])

    def _number(self, tensor: Tensor) -> int:
        self._alive.append(tensor)
        self._numbers[id(tensor)] = len(self._alive) - 1
        return len(self._alive) - 1


def _shape(tree: Any, found: list[Tensor]) -> Any:
    """What tells calls apart; the tree's tensors are added to `found`. (torch's own walk takes ten times as long.)"""
    if isinstance(tree, Tensor):
        found.append(tree)
        return tree.shape, tree.dtype
    if isinstance(tree, tuple | list):
        return tuple([_shape(branch, found) for branch in tree])
    if isinstance(tree, dict):
        return tuple([(name, _shape(branch, found)) for name, branch in tree.items()])
    return tree


def _record(function: Callable[..., Any], inputs: Sequence[Tensor], args: Sequence[Any]) -> tuple[Any, Program | None]:
    """What the function returns, and its program; none where it cannot be played."""
    recorder = _Recorder(inputs)
    with recorder:
        out = function(*args)
    if recorder.reads_numbers:
        return out, None
    places = tree_map(lambda x: recorder.place(x) if isinstance(x, Tensor) else x, out)
    calls = _needed(recorder.calls, {place.number for place in _places(places)})
    return out, Program(calls, recorder.constants, inputs, places)


def _needed(calls: Sequence[_Call], results: set[int]) -> list[_Call]:
    """The calls on which these tensors depend."""
    kept = []
    for call in reversed(calls):
        if call.kernel._schema.is_mutable or results.intersection(call.made):
            kept.append(call)
            results.update(place.number for place in _places((call.args, call.kwargs)))
    return kept[::-1]


def _filled(tree: Any, tensors: Iterator[Tensor]) -> Any:
    """The tree with its places taken by these tensors, one after the other."""
    if isinstance(tree, _Place):
        return next(tensors)
    if isinstance(tree, tuple):
        parts = [_filled(branch, tensors) for branch in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    if isinstance(tree, list):
        return [_filled(branch, tensors) for branch in tree]
    if isinstance(tree, dict):
        return {name: _filled(branch, tensors) for name, branch in tree.items()}
    return tree


def _is_place(x: Any) -> bool:
    return isinstance(x, _Place)


def _places(tree: Any) -> Iterator[_Place]:
    return filter(_is_place, tree_flatten(tree, is_leaf=_is_place)[0])


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_flatten(tree)[0] if isinstance(x, Tensor)]
