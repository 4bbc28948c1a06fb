"""One engine in a process of its own. It does what the parent asks over a pipe, and sleeps in between.

``python -m bench.worker ENGINE THREADS PIPE``, started by ``turns.py`` with the environment set. Answers are dictionaries;
one with "error" says what went wrong, one with "unable" that the engine is not made for this.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from .engines import Running, Unable, compared, load, prepare
from .works import Work

running: Running | None = None


def begin(engine: str, work: Work) -> dict[str, Any]:
    """Get ready and take the steps whose result is compared; the first one, with all compilation, is timed apart."""
    global running
    running = None  # the one before is freed first
    load(engine)
    start = time.perf_counter()
    ready = prepare(engine, work)
    ready.step()
    first_step = time.perf_counter() - start
    result = compared(prepare(engine, work), work)
    running = ready
    return {"result": result, "first step": first_step}


def turn(step: Callable[[], object], seconds: float) -> dict[str, float]:
    """Seconds per call over at least ``seconds``, after a quarter as long of warming up, which finds the count."""
    count = 1
    while (took := clock(step, count)) < seconds / 4:
        count *= 2
    count = math.ceil(count * seconds / took)
    return {"seconds": clock(step, count) / count, "count": count}


def clock(step: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start


def pin(threads: int) -> None:
    """Onto as many cores as threads are allowed, so that "one thread" is one core whatever a library starts."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[-threads:])


def answer(engine: str, question: str, *args: Any) -> dict[str, Any]:
    try:
        if question == "begin":
            return begin(engine, *args)
        if question == "turn" and running is not None:
            return turn(running.step, *args)
        raise ValueError(f"unknown question {question!r}")
    except Unable as reason:
        return {"unable": str(reason)}
    except ModuleNotFoundError as error:
        return {"error": f"{error.name} is not installed"}
    except Exception:
        return {"error": traceback.format_exc(limit=-3)}


def main(engine: str, threads: str, pipe: str) -> None:
    pin(int(threads))
    with Connection(int(pipe)) as parent, contextlib.suppress(EOFError):
        while True:
            parent.send(answer(engine, *parent.recv()))


if __name__ == "__main__":
    main(*sys.argv[1:])
