"""What every engine must agree with: manualbp on the NumPy definitions of its kernels. It is never timed."""

from __future__ import annotations

from manualbp_kernels import backend

from ..works import Arrays, Operation, Prediction, TrainingStep, WholeRun
from . import Running, manualbp


def operation(work: Operation) -> Running:
    return on_definitions(manualbp.operation(work))


def training_step(work: TrainingStep) -> Running:
    return on_definitions(manualbp.training_step(work))


def whole_run(work: WholeRun) -> Running:
    net, loss, optimizer = manualbp.build(work)

    def run() -> None:
        for x, y in zip(*work.data(), strict=True):
            loss(net(x), y)
            net.zero_grad()
            net.backward_weights(loss.backward())
            optimizer.step()

    return on_definitions(Running(run, net.state_dict))


def prediction(work: Prediction) -> Running:
    (x,), _ = work.data()
    net, _, _ = manualbp.build(work)
    return on_definitions(Running(lambda: net.predict(x), lambda: {"output": net.predict(x)}))


def on_definitions(running: Running) -> Running:
    def step() -> None:
        with backend("reference"):
            running.step()

    def result() -> Arrays:
        with backend("reference"):
            return running.result()

    return Running(step, result)
