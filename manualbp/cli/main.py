"""Arguments of the command line, and what each subcommand runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..version import __version__

EXAMPLE_NAMES = ("xor", "line", "worked", "mlp", "cnn", "rnn")
EXPLAINED = ("worked", "xor", "conv", "rnn", "lstm")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status. A user's mistake is one line on stderr and status 2."""
    options = parser().parse_args(arguments)
    try:
        status = int(options.run(options) or 0)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read our output has gone, as after "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        print(f"manualbp: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="manualbp", description="Neural networks with every derivative written by hand.")
    top.add_argument("--version", action="version", version=f"manualbp {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_predict(commands)
    _add_example(commands)
    _add_explain(commands)
    _add_warmup(commands)
    _add_gradcheck(commands)
    return top


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = commands.add_parser(
        "train",
        help="learn to read handwritten digits",
        description="Train on the 8×8 handwritten digits that come with the package, or on data of your own.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    train.add_argument("--model", choices=("cnn", "mlp", "rnn"), default="cnn", help="what kind of network")
    train.add_argument("--data", type=Path, metavar="PATH", help="folder of MNIST-style IDX files, or an .npz")
    train.add_argument("--epochs", type=int, default=15, help="passes over the data")
    train.add_argument("--batch-size", type=int, default=32, help="samples a step")
    train.add_argument(
        "--optimizer", choices=("sgd", "adam", "adamw", "rmsprop", "adagrad"), default="adam", help="update rule"
    )
    train.add_argument("--lr", type=float, default=None, help="learning rate; 0.002, for sgd and adagrad 0.02")
    train.add_argument("--seed", type=int, default=0, help="of weights, dropout and order")
    train.add_argument("--out", type=Path, default=Path("manualbp-run"), metavar="FOLDER", help="where the results go")
    train.add_argument("--backend", choices=("fast", "reference"), default="fast", help="compiled kernels, or NumPy alone")
    train.set_defaults(run=_train)


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = commands.add_parser("predict", help="read images with trained weights", description="Say what is on images.")
    predict.add_argument("weights", type=Path, metavar="WEIGHTS", help="weights.safetensors from manualbp train")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="picture files, or .npy arrays")
    predict.add_argument(
        "--ink", choices=("auto", "dark", "bright"), default="auto", help="whether digits are darker than their paper"
    )
    predict.set_defaults(run=_predict)


def _add_example(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    example = commands.add_parser("example", help="run one of the classic first networks", description="Run a small example.")
    example.add_argument("name", choices=EXAMPLE_NAMES, metavar="NAME", help=", ".join(EXAMPLE_NAMES))
    example.add_argument("--data", type=Path, metavar="PATH", help="for cnn: folder of MNIST-style IDX files, or an .npz")
    example.set_defaults(run=_example)


def _add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    explain = commands.add_parser("explain", help="one training step of a small network, number by number")
    explain.add_argument("name", choices=EXPLAINED, metavar="NAME", help=f"one of {', '.join(EXPLAINED)}")
    explain.add_argument("--html", type=Path, metavar="FILE", help="a page to step through, instead of text")
    explain.add_argument("--latex", type=Path, metavar="FILE", help="a LaTeX document")
    explain.add_argument("--json", type=Path, metavar="FILE", help="every number in full precision")
    explain.set_defaults(run=_explain)


def _add_warmup(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    warmup = commands.add_parser(
        "warmup",
        help="compile all kernels now and keep them on disk",
        description="Compile every kernel that training uses, so that no training waits for it.",
    )
    warmup.add_argument("--float64", action="store_true", help="for float64 too, as gradient checks use it")
    warmup.set_defaults(run=_warmup)


def _add_gradcheck(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "gradcheck",
        help="check a layer's backward against its forward",
        description="Compare a hand-written backward with the measured derivative of its forward. Status 0: they agree; "
        "1: they differ; 2: nothing could be compared.",
    )
    check.add_argument(
        "layer", nargs="?", metavar="FILE:LAYER",
        help="a layer class, or a function that gives a layer, a (layer, x) or a (loss, y, t); FILE may be a module. A class "
        "without arguments is built by its static method example() if it has one, which gives the same",
    )  # fmt: skip
    check.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="for the constructor: 3 5 bias=False")
    check.add_argument("--shape", metavar="N,…", help="of a normally distributed x, such as 4,3, where example() gives none")
    check.add_argument("--all", action="store_true", help="check every layer of manualbp, by backend and dtype")
    check.add_argument("--method", choices=("central", "complex"), default="central", help="differences, or a complex step")
    check.add_argument("--tolerance", type=float, help="what the relative error may be; 1e-7, for a complex step 1e-12")
    check.add_argument("--seed", type=int, default=0, help="of weights, x and direction")
    check.add_argument("--backend", choices=("fast", "reference"), help="compiled kernels (the default), or NumPy alone")
    check.set_defaults(run=_gradcheck)


def _train(options: argparse.Namespace) -> None:
    from .train import train

    train(
        model=options.model, path=options.data, epochs=options.epochs, batch_size=options.batch_size,
        optimizer=options.optimizer, lr=options.lr, seed=options.seed, out=options.out, backend=options.backend,
    )  # fmt: skip


def _predict(options: argparse.Namespace) -> None:
    from .predict import predict

    predict(options.weights, options.images, options.ink)


def _example(options: argparse.Namespace) -> None:
    from ..examples import EXAMPLES

    if options.data is not None and options.name != "cnn":
        raise ValueError(f"example {options.name} takes no --data, only cnn does")
    EXAMPLES[options.name](**({"path": options.data} if options.data else {}))


def _explain(options: argparse.Namespace) -> None:
    from .explain import explain

    explain(options)


def _warmup(options: argparse.Namespace) -> None:
    from .warmup import warmup

    warmup(options.float64)


def _gradcheck(options: argparse.Namespace) -> int:
    from .gradcheck import check_all, check_one

    if options.all == (options.layer is not None):
        raise ValueError("gradcheck takes FILE:LAYER, or --all for every layer of manualbp")
    if options.seed < 0:
        raise ValueError(f"--seed must be an integer of at least 0, got {options.seed}")
    if options.all:
        return check_all(options.seed)
    return check_one(
        options.layer, options.arguments, shape=options.shape, method=options.method, tolerance=options.tolerance,
        seed=options.seed, backend_name=options.backend,
    )  # fmt: skip
