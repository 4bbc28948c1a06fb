"""What every engine must agree with: manualbp on the NumPy definitions of its kernels. It is never timed."""

from __future__ import annotations

from manualbp_kernels import backend

from ..works import Arrays, Operation, TrainingStep, WholeRun
from . import Running, manualbp


def operation(work: Operation) -> Running:
    return on_definitions(manualbp.operation(work))


def training_step(work: TrainingStep) -> Running:
    return on_definitions(manualbp.training_step(work))


def whole_run(work: WholeRun) -> Running:
    return on_definitions(manualbp.whole_run(work))


def on_definitions(running: Running) -> Running:
    def step() -> None:
        with backend("reference"):
            running.step()

    def result() -> Arrays:
        with backend("reference"):
            return running.result()

    return Running(step, result)
