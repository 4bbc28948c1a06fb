"""The command line: train, predict and example as a user types them."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from test_data import write_mnist

import manualbp as mb
from manualbp.cli import main
from manualbp.data import digits


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short training run and its folder."""
    folder = tmp_path_factory.mktemp("run") / "out"
    assert main(["train", "--epochs", "3", "--model", "mlp", "--out", str(folder)]) == 0
    return folder


def test_train_writes_weights_history_and_a_picture(run):
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib")
    assert {path.name for path in run.iterdir()} == {"weights.safetensors", "history.json", "digits.png"}
    history = json.loads((run / "history.json").read_text())
    assert len(history["epochs"]) == 3
    assert history["epochs"][-1]["val_accuracy"] > 0.85
    assert (run / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_the_main_job_reaches_98_percent(tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "true \\ read" in printed
    accuracy = float(printed.split("accuracy on held-out images: ")[1].split("%")[0])
    assert accuracy >= 98


@pytest.mark.parametrize(("model", "backend"), [("rnn", "fast"), ("cnn", "reference")])
def test_other_models_and_backends(tmp_path, capsys, model, backend):
    images = digits()
    np.savez(tmp_path / "few.npz", **{k: v[:40] for k, v in images._asdict().items()})
    arguments = ["--model", model, "--backend", backend, "--epochs", "1", "--data", str(tmp_path / "few.npz")]
    assert main(["train", *arguments, "--out", str(tmp_path / "out")]) == 0
    assert mb.get_backend() == "fast"


def test_mnist_files_train_the_28_by_28_network(tmp_path, capsys):
    write_mnist(tmp_path)
    assert main(["train", "--epochs", "1", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert "Linear(3136 → 128)" in capsys.readouterr().out


def test_predict_reads_what_train_wrote(run, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")
    held_out = digits()
    right = 0
    for i in range(8):
        ink = (held_out.x_test[i, 0] * 255).astype(np.uint8)
        np.save(tmp_path / "a.npy", ink)
        image.fromarray(255 - ink).resize((80, 80), image.Resampling.NEAREST).save(tmp_path / "b.png")
        assert main(["predict", str(run / "weights.safetensors"), str(tmp_path / "a.npy"), str(tmp_path / "b.png")]) == 0
        said = [int(line.split(": ")[1][0]) for line in capsys.readouterr().out.splitlines()]
        assert said[0] == said[1]
        right += said[0] == held_out.y_test[i]
    assert right >= 6


def complaint(capsys, *arguments):
    assert main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_mistake_is_one_clear_line(run, tmp_path, capsys):
    weights = run / "weights.safetensors"
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "text.npy").write_text("not an array")
    np.save(tmp_path / "large.npy", np.zeros((9, 9)))
    assert "no such file" in complaint(capsys, "predict", weights, tmp_path / "none.png")
    assert "not a readable picture" in complaint(capsys, "predict", weights, tmp_path / "text.png")
    assert "not a readable .npy" in complaint(capsys, "predict", weights, tmp_path / "text.npy")
    assert "reads 8×8 pixels, got shape (9, 9)" in complaint(capsys, "predict", weights, tmp_path / "large.npy")
    assert "not a readable safetensors" in complaint(capsys, "predict", tmp_path / "text.png", tmp_path / "large.npy")
    assert "epochs must be" in complaint(capsys, "train", "--epochs", "0", "--out", tmp_path / "out")
    assert "--seed must be an integer of at least 0, got -1" in complaint(capsys, "train", "--seed", "-1")
    assert "lr must be" in complaint(capsys, "train", "--lr", "-1", "--out", tmp_path / "out")
    assert "no such file or folder" in complaint(capsys, "train", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert "is a file" in complaint(capsys, "train", "--out", tmp_path / "text.png")
    assert complaint(capsys, "train", "--out", tmp_path / "text.png" / "out")  # before the training, not after it
    assert "takes no --data" in complaint(capsys, "example", "xor", "--data", tmp_path)
    assert not (tmp_path / "out").exists()


def test_weights_of_another_program_are_refused(tmp_path, capsys):
    from manualbp.checkpoint import save_weights

    save_weights(mb.Linear(2, 2), tmp_path / "w.safetensors")
    np.save(tmp_path / "a.npy", np.zeros((8, 8)))
    assert "was not written by manualbp train" in complaint(capsys, "predict", tmp_path / "w.safetensors", tmp_path / "a.npy")


@pytest.mark.parametrize(("line", "seconds"), [("1,438 images", 0.05), ("----", 8)], ids=["at the start", "in the middle"])
def test_control_c_still_writes_the_results(tmp_path, line, seconds):
    process = subprocess.Popen(
        [sys.executable, "-m", "manualbp", "train", "--epochs", "100000", "--model", "mlp", "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    for said in process.stdout:
        if said.startswith(line):
            break
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert "interrupted: what was learned so far is kept" in out
    assert json.loads((tmp_path / "out" / "history.json").read_text())["interrupted"]
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"weights.safetensors", "history.json"}


def environment():
    """The variables of a child process that imports the same packages as this one."""
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}


def test_without_matplotlib_the_picture_is_left_out_and_said(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["train", "--epochs", "1", "--model", "mlp", "--out", str(tmp_path / "out")]) == 0
    assert 'pip install "manualbp[plot]"' in capsys.readouterr().out
    assert not (tmp_path / "out" / "digits.png").exists()


def test_without_pillow_predict_says_what_to_install(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    (tmp_path / "a.png").write_bytes(b"")
    assert 'pip install "manualbp[plot]"' in complaint(capsys, "predict", run / "weights.safetensors", tmp_path / "a.png")


def test_version_and_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert mb.__version__ in capsys.readouterr().out
    assert main(["example", "worked"]) == 0
    assert "0.7514   0.7729" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_mistake():
    process = subprocess.Popen(
        [sys.executable, "-m", "manualbp", "example", "line"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert process.stdout.readline().startswith("before")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(timeout=60)
