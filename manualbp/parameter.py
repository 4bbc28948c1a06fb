"""A layer's parameters: arrays that never move once somebody holds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from manualbp_kernels.address import address as host_address

from .types import FLOATS, Array, as_array, beside
from .workspace import unshared

if TYPE_CHECKING:
    from .layer import Layer


class Parameter(NamedTuple):
    """A parameter and its gradient: the layer's own arrays, not copies. ``name`` is PyTorch's ("0.weight")."""

    name: str
    value: Array
    grad: Array


class Weight:
    """Declares an attribute of a layer class as a parameter: ``W = Weight("weight")``.

    The first assignment copies the array and creates its gradient ``dW`` (zeros). Every later one, to ``W`` or to
    ``dW``, writes into the array that is there, so that an optimizer that holds it sees the change. A layer built
    without it (None) stays without.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        inherited: dict[str, str] = getattr(owner, "weights", {})
        owner.weights = {**inherited, attribute: self.name}  # type: ignore[attr-defined]
        setattr(owner, "d" + attribute, _InPlace("d" + attribute))

    def __set__(self, layer: Layer, value: Any) -> None:
        own = layer.__dict__
        if self.attribute in own:
            _write(layer, self.attribute, value)
        elif value is None:
            own[self.attribute] = own["d" + self.attribute] = None
        else:
            array = np.array(as_array(value), order="C")  # a copy: training must not change the user's array
            if array.dtype not in FLOATS:
                raise TypeError(f"{type(layer).__name__}.{self.attribute} must be float32 or float64, got {array.dtype}")
            own[self.attribute], own["d" + self.attribute] = array, np.zeros_like(array)

    if TYPE_CHECKING:

        def __get__(self, layer: Layer, owner: type) -> Array: ...


class _InPlace:
    """A gradient attribute: assigning writes into the array."""

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute

    def __set__(self, layer: Layer, value: Any) -> None:
        _write(layer, self.attribute, value)


class Fixed:
    """An attribute that is set once, when the layer is built: sizes that the shapes of the weights follow.

    Compiled loops do not look at bounds, so a size that no longer fits its weights must not come to be.
    """

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute

    def __set__(self, layer: Layer, value: Any) -> None:
        if self.attribute in layer.__dict__:
            raise AttributeError(f"{layer}.{self.attribute} is fixed, build another {type(layer).__name__}")
        layer.__dict__[self.attribute] = value

    if TYPE_CHECKING:

        def __get__(self, layer: Layer, owner: type) -> Any: ...


def _write(layer: Layer, attribute: str, value: Any) -> None:
    current = layer.__dict__[attribute]
    if value is current:
        return
    if current is None:
        raise ValueError(f"{layer} was built without {attribute} and cannot be given one")
    array = as_array(value)
    if array.shape != current.shape:
        raise ValueError(f"{layer}.{attribute} has shape {current.shape} and cannot take shape {array.shape}")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{layer}.{attribute} must be numbers, got {array.dtype}")
    current[...] = array


def gather(layers: Iterable[Layer]) -> None:
    """Move parameters side by side into one vector and their gradients into another; the layers keep views.

    An optimizer then has one array to update. An array moves at most once, and never if somebody holds it.
    """
    slots = [
        (layer.__dict__, attribute)
        for layer in layers
        for attribute in layer.weights
        if _movable(layer.__dict__, attribute) and _movable(layer.__dict__, "d" + attribute)
    ]
    for kind in {_kind(own[attribute]) for own, attribute in slots}:
        of_kind = [(own, attribute) for own, attribute in slots if _kind(own[attribute]) == kind]
        for prefix in ("", "d"):
            first = of_kind[0][0][of_kind[0][1]]
            vector = beside(first, (sum(own[attribute].size for own, attribute in of_kind),), first.dtype)
            end = 0
            for own, attribute in of_kind:
                array = own[prefix + attribute]
                begin, end = end, end + array.size
                vector[begin:end] = array.ravel()
                own[prefix + attribute] = vector[begin:end].reshape(array.shape)


def _kind(array: Array) -> tuple[Any, type]:
    return array.dtype, type(array)


def _movable(own: dict[str, Any], attribute: str) -> bool:
    return own[attribute] is not None and own[attribute].base is None and unshared(own, attribute)


def runs(parameters: Iterable[Parameter]) -> list[tuple[list[Parameter], Array, Array]]:
    """The parameters in groups that lie side by side in memory, each with its values and gradients as flat vectors."""
    groups: list[list[Parameter]] = []
    for parameter in parameters:
        if groups and _adjacent(groups[-1][-1], parameter):
            groups[-1].append(parameter)
        else:
            groups.append([parameter])
    return [(group, _flat([p.value for p in group]), _flat([p.grad for p in group])) for group in groups]


def _adjacent(one: Parameter, other: Parameter) -> bool:
    return all(
        a.base is not None and a.base is b.base and address(a) + a.nbytes == address(b)
        for a, b in ((one.value, other.value), (one.grad, other.grad))
    )


def _flat(arrays: list[Array]) -> Array:
    first, base = arrays[0], arrays[0].base
    if base is None or len(arrays) == 1:
        return first.reshape(-1)
    begin = (address(first) - address(base)) // first.itemsize
    return base.reshape(-1)[begin : begin + sum(a.size for a in arrays)]


def address(array: Any) -> int:
    """Where an array lies in the memory of its place."""
    return host_address(array) if isinstance(array, np.ndarray) else int(array.__cuda_array_interface__["data"][0])
