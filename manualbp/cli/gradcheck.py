"""``manualbp gradcheck``: a user's layer out of a file, or every layer of manualbp in every place and dtype."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from manualbp_kernels import backend, get_backend

from ..gradcheck import gradcheck
from ..layer import Layer
from ..losses import Loss
from ..random import manual_seed
from ..types import Array, Shape
from .warmup import example_layers

DTYPES = ("float32", "float64")
SHAPE = (4, 3)  # of x, for a layer that says nothing about it


def places() -> Mapping[str, AbstractContextManager[None]]:
    """Where layers can compute, each a column of the table: contexts in which they do."""
    here = {"reference": backend("reference")}
    if os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0"):
        here["cpu"] = backend("fast")
    if _has_gpu():
        here["cuda sim" if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0") else "cuda"] = backend("fast")
    return here


def _has_gpu() -> bool:
    """Whether an array can be made on a GPU, or on Numba's simulator of one."""
    try:
        importlib.import_module("manualbp.device").to_device(np.zeros(1))
    except (ImportError, RuntimeError):
        return False
    return True


def check_one(
    name: str,
    arguments: Sequence[str],
    *,
    shape: str | None = None,
    method: str = "central",
    tolerance: float | None = None,
    seed: int = 0,
    backend_name: str | None = None,
) -> int:
    """Print how the gradients of FILE:LAYER compare; returns 0 if they agree, else 1."""
    manual_seed(seed)
    layer, x, target = _build(name, arguments, seed, _shape(shape))
    with backend(backend_name or get_backend()):
        check = _guarded(
            f"{layer!r} on x {x.shape}" + ("" if shape or target is not None else " (--shape sets another)"),
            lambda: gradcheck(layer, x, target, tolerance=tolerance, seed=seed, method=method),
        )
    measured = "central differences" if method == "central" else "a complex step"
    print(f"{layer!r} on x {x.shape}: backward ({backend_name or get_backend()}) beside {measured} in float64\n")
    print(check.report())
    return 0 if check else 1


def check_all(seed: int = 0) -> int:
    """Print the worst relative error of every layer in each place and dtype; returns 0 if all agree, else 1."""
    manual_seed(seed)
    columns = [(place, dtype) for place in places() for dtype in DTYPES]
    width = max(len(f"{place} {dtype}") for place, dtype in columns) + 2
    print(f"{'worst relative error':<20}" + "".join(f"{f'{place} {dtype}':>{width}}" for place, dtype in columns))
    wrong = 0
    firsts: dict[str, tuple[Layer, Shape]] = {}
    for layer, shape in example_layers():
        firsts.setdefault(type(layer).__name__, (layer, shape))
    for name, (layer, shape) in sorted(firsts.items()):
        x = np.random.default_rng(seed).standard_normal(shape)
        print(f"{name:<20}", end="")
        for place, dtype in columns:
            with places()[place]:
                where = "cuda" if place.startswith("cuda") else "cpu"
                check = gradcheck(layer, x, seed=seed, at_most=40, dtype=dtype, place=where)
            wrong += not check
            print(f"{f'{check.error:.1e}' + ('' if check else ' !'):>{width}}", end="", flush=True)
        print()
    print(f"\n{wrong} cells marked ! differ" if wrong else "\nall gradients agree")
    return 1 if wrong else 0


def _build(name: str, arguments: Sequence[str], seed: int, shape: Shape | None) -> tuple[Layer | Loss, Array, Array | None]:
    """The layer (or loss), its x, and the target of a loss."""
    where, colon, what = name.rpartition(":")
    if not colon or not where or not what:
        raise ValueError(f"gradcheck expects FILE:LAYER, such as my_layers.py:Swish, got {name!r}")
    found = getattr(_module(where), what, None)
    if found is None:
        raise ValueError(f"{where} has no {what!r}")
    if isinstance(found, type) and hasattr(found, "example") and not arguments:
        found = found.example
    if not isinstance(found, (Layer, Loss)) and callable(found):
        positional, named = _arguments(arguments)
        build = partial(found, *positional, **named)
        found = _guarded(f"{what}({', '.join(arguments)}) cannot be built", build)
    elif arguments:
        raise ValueError(f"{name} is built already and takes no arguments")
    layer, *inputs = found if isinstance(found, tuple) else (found,)
    if not isinstance(layer, (Layer, Loss)):
        raise TypeError(f"{name} must be a layer, or give one or a (layer, x), got a {type(layer).__name__}")
    x = np.random.default_rng(seed).standard_normal(shape or SHAPE) if shape or not inputs else inputs[0]
    return layer, np.asarray(x), inputs[1] if len(inputs) > 1 else None


def _module(where: str) -> Any:
    """A file that ends in .py, imported under a name of its own, or a module by its name."""
    path = Path(where)
    if path.suffix != ".py":
        return _guarded(f"{where} cannot be imported", lambda: importlib.import_module(where))
    if not path.is_file():
        raise ValueError(f"{where}: no such file")
    own = f"manualbp_checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(own, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[own] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # its neighbours can be imported, as when Python runs it
    execute: Callable[[Any], None] = spec.loader.exec_module
    _guarded(f"{where} cannot be imported", lambda: execute(module))
    return module


def _arguments(arguments: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """``3 5 bias=False`` as ([3, 5], {"bias": False}); what is no Python literal is text."""
    positional, named = [], {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name.isidentifier():
            named[name] = _literal(value)
        else:
            positional.append(_literal(argument))
    return positional, named


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _shape(text: str | None) -> Shape | None:
    if text is None:
        return None
    try:
        shape = tuple(int(n) for n in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ValueError(f"--shape must be numbers of at least 1 between commas, such as 4,3, got {text!r}")
    return shape


def _guarded(what: str, run: Callable[[], Any]) -> Any:
    """``run()``; whatever it raises becomes one line that says where in the user's file it arose."""
    try:
        return run()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        others = {"manualbp", "manualbp_kernels", "site-packages"}
        own = [frame for frame in frames if not others & set(Path(frame.filename).parts) and frame.filename[0] != "<"]
        place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
        message = (str(error).strip() or "no message").splitlines()[0]
        raise ValueError(f"{what}: {type(error).__name__}: {message}{place}") from error
