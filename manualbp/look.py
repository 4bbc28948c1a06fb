"""What a step looks like to machine code: what must not change after its recording, and when two steps are alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from manualbp_kernels import get_backend
from manualbp_kernels.address import address
from manualbp_kernels.cpu.replay import Call, as_noted, noted

from .device import OnDevice
from .types import FLOATS, Array, as_array
from .workspace import Workspace

PASSING = frozenset({"cache", "training"})
KEPT = "hyper", "total", "_weight", "_pos_weight"

Named = tuple[tuple[str, Any], ...]


class CannotRecord(ValueError):
    """Why a step can only be run from Python."""


class Look:
    """Settings of layers, loss and optimizer, and where their arrays and the data lie."""

    def __init__(self, things: Iterable[Any], data: Iterable[Array] = ()) -> None:
        self.things = list(things)
        self.data = [(a, place(a)) for a in data]
        self.seen = [_seen(thing) for thing in self.things]
        self._quick: _Quick | None = None

    def structure(self) -> tuple[Any, ...] | None:
        """Classes, modes and settings; None if there are others than the library's own, of which nobody knows what they do."""
        if not all(map(_own, self.things)):
            return None
        return tuple(
            (type(thing), getattr(thing, "training", None), settings)
            for thing, (settings, _) in zip(self.things, self.seen, strict=True)
        )

    def arrays(self) -> Iterator[Array]:
        """All arrays that are no results of a step."""
        for thing in self.things:
            yield from (value for value in vars(thing).values() if isinstance(value, np.ndarray))
        yield from (a for a, _ in self.data)

    def change(self) -> str | None:
        """The first difference from then to now."""
        if self._quick is not None and self._quick.same():
            return None
        for thing, before in zip(self.things, self.seen, strict=True):
            now = _seen(thing)
            if now != before:
                was = dict(before[0] + before[1])
                name = next((n for n, value in now[0] + now[1] if was.pop(n, _Missing) != value), None) or next(iter(was))
                return f"{thing}: {name.lstrip('_')} has been changed or replaced since the program was recorded"
        if any(place(a) != then for a, then in self.data):
            return "the data have been moved or reshaped since the program was recorded"
        self._quick = _Quick(self)
        return None


class _Quick:
    """Sees in microseconds that nothing was assigned and no array moved; what an assignment changed, it leaves open."""

    def __init__(self, look: Look) -> None:
        self.lengths = [(vars(thing), len(vars(thing))) for thing in look.things]
        self.values = [
            (vars(thing), name, vars(thing)[name])
            for thing, seen in zip(look.things, look.seen, strict=True)
            for name, _ in seen[0] + seen[1]
        ]
        self.arrays = [value for _, _, value in self.values if isinstance(value, np.ndarray)] + [a for a, _ in look.data]
        self.words = np.array(noted(self.arrays), np.int64)

    def same(self) -> bool:
        for own, length in self.lengths:
            if len(own) != length:
                return False
        for own, name, value in self.values:
            if own.get(name, self) is not value:
                return False
        return bool(as_noted(self.words, 0, len(self.arrays)))


class _Missing:
    """Equal to nothing."""


def _seen(thing: Any) -> tuple[Named, Named]:
    """The settings, and where the arrays lie that outlive a step."""
    outlive = lasting(thing)
    settings: list[tuple[str, Any]] = []
    places: list[tuple[str, Any]] = []
    for name, value in vars(thing).items():
        if name in outlive:
            places.append((name, value if value is None else place(value)))
        elif name[0] != "_" and name not in PASSING:
            if isinstance(value, (int, float, str)):
                settings.append((name, value))
            elif isinstance(value, tuple) and any(isinstance(part, Workspace) for part in value):
                places.append((name, tuple(map(id, value))))
            elif isinstance(value, tuple):
                settings.append((name, value))
    return tuple(settings), tuple(places)


def lasting(thing: Any) -> frozenset[str]:
    """The attributes that hold arrays which outlive a step."""
    return _lasting(type(thing))  # type: ignore[arg-type]


@cache
def _lasting(kind: type) -> frozenset[str]:
    weights = getattr(kind, "weights", ())
    return frozenset({*weights, *(f"d{w}" for w in weights), *getattr(kind, "state", ()), *KEPT})


def place(a: Array) -> tuple[Any, ...]:
    return address(a), a.shape, a.strides, a.dtype


def _own(thing: Any) -> bool:
    """Whether it is of a class of the library."""
    return type(thing).__module__.startswith("manualbp.")


def plain(x: Any, what: str) -> Array:
    """The array as kernels take it; class numbers as int64."""
    x = as_array(x)
    if x.dtype.kind in "iu":
        return np.ascontiguousarray(x, np.int64)
    if x.dtype not in FLOATS:
        raise CannotRecord(f"{what} is of {x.dtype}")
    return np.ascontiguousarray(x)


def unrecordable(things: Iterable[Any]) -> str | None:
    """Why a step of these layers, loss and optimizer cannot be recorded, if so.

    Of a class that does not belong to the library nobody knows what it does in Python: it says ``recordable = True`` itself.
    """
    if get_backend() != "fast":
        return "the reference backend runs in Python"
    for thing in things:
        if isinstance(thing, OnDevice):
            return "arrays on a GPU are trained step by step"
        if not (_own(thing) or vars(type(thing)).get("recordable")):
            return f"{type(thing).__name__} is a class of your own and does not say recordable = True"
    return None


# ---------------------------------------------------------------------- memory


class Memory:
    """How arrays hang together: which of them overlap, and how. Where they lie makes no difference.

    Arrays that overlap, directly or through others, lie in one *piece* of memory. ``fits`` tells whether other arrays, one
    for each, lie in their pieces in the same way, and whether no two of these overlap.

    Args:
        places, sizes: where each array begins and how many bytes it spans.
    """

    def __init__(self, places: list[int], sizes: list[int]) -> None:
        self.sizes = sizes
        firsts: dict[int, int] = {}
        lengths: dict[int, int] = {}
        first = end = -1
        for begin, size in sorted({*zip(places, sizes, strict=True)}):
            if begin >= end:
                first, end = begin, begin
            end = max(end, begin + size)
            firsts[begin], lengths[first] = first, end - first
        self.first = np.array([places.index(firsts[p]) for p in places])  # of each array's piece, the number of an array
        self.inside = np.array([p - firsts[p] for p in places])  # how far it begins inside its piece
        self.pieces = np.unique(self.first)
        self.lengths = np.array([lengths[places[k]] for k in self.pieces])

    def fits(self, places: list[int], sizes: list[int]) -> bool:
        if sizes != self.sizes:
            return False
        at = np.array(places)
        begins = at[self.pieces]
        order = begins.argsort()
        begins, ends = begins[order], (begins + self.lengths)[order]
        return bool((at - at[self.first] == self.inside).all() and (begins[1:] >= ends[:-1]).all())


# ---------------------------------------------------------------------- proof


def spoil(calls: Sequence[Call], kept: Iterable[Any]) -> None:
    """Overwrite all that the calls have written, but for the memory of the arrays to keep."""
    sacred = {id(_root(a)) for a in kept}
    for call in calls:
        for a in call.arguments:
            if isinstance(a, np.ndarray) and a.flags.writeable and id(_root(a)) not in sacred:
                a.fill(np.nan if a.dtype in FLOATS else 0)


def _root(a: Any) -> Any:
    while isinstance(getattr(a, "base", None), np.ndarray):
        a = a.base
    return a


def write(arrays: list[Array], values: list[Array]) -> None:
    for array, value in zip(arrays, values, strict=True):
        array[...] = value


def same_bits(one: Array, other: Array) -> bool:
    return one.tobytes() == other.tobytes()
