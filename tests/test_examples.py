"""The classic first networks, with the numbers that are known of them, and PyTorch beside them for a hundred steps."""

import os
import signal
from importlib import import_module

import numpy as np
import pytest

import manualbp as mb
from manualbp import data, examples

# The package's attributes of these names are the functions, which stand for their modules.
cnn, line, mlp, rnn, worked, xor = (import_module(f"manualbp.examples.{name}") for name in sorted(examples.EXAMPLES))


def test_xor_is_learned(capsys):
    assert np.allclose(examples.xor(), xor.Y, atol=0.01)
    assert "1 xor 0 = 1.0000" in capsys.readouterr().out


def test_the_line_in_closed_form(capsys):
    trajectory = examples.line()
    w, expected = 1.0, []
    for _ in range(100):
        for x, y in line.SAMPLES:
            w -= 0.01 * 2 * x * (w * x - y)
            expected.append(w)
    assert np.allclose(trajectory, expected, rtol=0, atol=2e-6)
    printed = capsys.readouterr().out
    assert printed.startswith("before: f(4) = 4.0000\n    x 1  y 2  gradient -2\n    x 2  y 4  gradient -7.84\n")
    assert "after: f(4) = 7.9999" in printed


def test_worked_by_hand():
    net, loss = worked.network(), mb.MSELoss()
    y = net(worked.X)
    assert np.round(y, 4).tolist() == [[0.7514, 0.7729]]
    assert loss(y, worked.T) == 0.2983711087600027
    net.backward(loss.backward())
    assert np.round(net[0].dW, 4).tolist() == [[0.0004, 0.0009], [0.0005, 0.0010]]
    assert np.round(net[2].dW, 4).tolist() == [[0.0822, 0.0827], [-0.0226, -0.0227]]


def test_worked_after_one_step(capsys):
    net = examples.worked()
    assert np.round(net[0].W, 4).tolist() == [[0.1498, 0.1996], [0.2498, 0.2995]]
    assert np.round(net[0].b, 4).tolist() == [0.3456, 0.3450]
    assert np.round(net[2].W, 4).tolist() == [[0.3589, 0.4087], [0.5113, 0.5614]]
    assert np.round(net[2].b, 4).tolist() == [0.5308, 0.6190]
    assert "outputs   0.7514   0.7729\nloss     0.2984\n" in capsys.readouterr().out


def test_worked_with_weights_alone_has_another_loss_than_published():
    net, loss = worked.network(), mb.MSELoss()
    weights_alone = [p for p in net.parameters() if p.name.endswith("weight")]
    loss(net(worked.X), worked.T)
    net.backward(loss.backward())
    mb.SGD(weights_alone, lr=0.5).step()
    assert loss(net(worked.X), worked.T) == pytest.approx(0.29102777369, abs=5e-12)


def test_mlp_and_rnn_learn(capsys):
    assert examples.mlp()[-1] < 0.02
    losses = examples.rnn()
    assert losses[-1] < losses[0] / 3
    assert "epoch 1000/1000" in capsys.readouterr().out


def test_cnn_learns(capsys):
    assert examples.cnn(epochs=3) > 0.8
    assert "epoch  3/3" in capsys.readouterr().out


def test_cnn_may_be_interrupted(monkeypatch, capsys):
    def interrupt(step, *seen):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(mb.SGD, "update", interrupt)
    assert 0 <= examples.cnn() <= 1
    assert "epoch  1/10" in capsys.readouterr().out


def test_cnn_wants_images_of_28_by_28(tmp_path):
    images = data.digits()
    np.savez(tmp_path / "small.npz", **images._asdict())
    with pytest.raises(ValueError, match="reads images of 28×28 pixels, got 8×8"):
        examples.cnn(path=tmp_path / "small.npz")


# ---------------------------------------------------------------------- a hundred steps beside PyTorch


def torch_xor(nn):
    return nn.Sequential(nn.Linear(2, 10), nn.ReLU(), nn.Linear(10, 1))


def torch_worked(nn):
    return nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2), nn.Sigmoid()).double()


def torch_mlp(nn):
    return nn.Sequential(nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1))


def torch_cnn(nn):
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def torch_rnn(nn):
    class Elman(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.linear = nn.RNN(10, 5, batch_first=True), nn.Linear(5, 1)

        def forward(self, x):
            return self.linear(self.rnn(x)[0][:, -1])

    return Elman()


def cnn_data():
    digits = data.digits()
    return data.enlarge(digits.x_train[:16]), digits.y_train[:16]


SYSTEMS = {
    "xor": (xor.network, torch_xor, lambda: (xor.X, xor.Y), "MSELoss", 0.1),
    "worked": (worked.network, torch_worked, lambda: (worked.X, worked.T), "MSELoss", 0.5),
    "mlp": (mlp.network, torch_mlp, mlp.data, "MSELoss", 0.01),
    "cnn": (cnn.network, torch_cnn, cnn_data, "CrossEntropyLoss", 0.01),
    "rnn": (rnn.network, torch_rnn, rnn.data, "MSELoss", 0.01),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_hundred_steps_give_pytorchs_loss_curve(name):
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    build, build_torch, make, loss_name, lr = SYSTEMS[name]
    mb.manual_seed(0)
    net, (x, y) = build(), make()
    loss, optimizer = getattr(mb, loss_name)(), mb.SGD(net.parameters(), lr=lr)
    oracle = build_torch(torch.nn)
    for theirs, ours in zip(oracle.parameters(), net.parameters(), strict=True):
        theirs.data = torch.from_numpy(ours.value.copy())
    oracle_loss, oracle_optimizer = getattr(torch.nn, loss_name)(), torch.optim.SGD(oracle.parameters(), lr=lr)
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(100):
        expected = oracle_loss(oracle(tx), ty)
        oracle_optimizer.zero_grad()
        expected.backward()
        oracle_optimizer.step()
        value = loss(net(x), y)
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
        assert value == pytest.approx(expected.item(), rel=1e-5)


def test_the_line_follows_pytorch(capsys):
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    w = torch.tensor([1.0], requires_grad=True)
    trajectory = []
    for _ in range(100):
        for x, y in line.SAMPLES:
            ((w * x - y) ** 2).sum().backward()
            with torch.no_grad():
                w -= 0.01 * w.grad
            w.grad.zero_()
            trajectory.append(w.item())
    assert np.abs(np.subtract(examples.line(), trajectory)).max() <= 2 * np.finfo(np.float32).eps
