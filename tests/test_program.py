"""Programs: recorded steps, replayed, and the same steps made from Python, equal to the bit."""

import copy
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from recorded import Scale, Twice, assert_same, state, step, xor, xor_parts
from tolerances import assert_close

import manualbp as mb
from manualbp import program as programs
from manualbp.look import Memory
from manualbp_kernels import get_backend
from manualbp_kernels.address import address

ACTIVATIONS = (mb.ReLU, mb.Tanh, mb.Sigmoid, mb.GELU, mb.SiLU, mb.ELU, lambda: mb.Dropout(0.3), mb.LeakyReLU, mb.Softplus)
OPTIMIZERS = (
    lambda p: mb.SGD(p, lr=0.05),
    lambda p: mb.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    lambda p: mb.SGD(p, lr=0.05, momentum=0.5, dampening=0.1, weight_decay=0.01),
    mb.Adam,
    mb.AdamW,
    lambda p: mb.RMSprop(p, centered=True, momentum=0.5),
    mb.Adagrad,
)


def dense(sizes, activations, dtype="float32"):
    layers = []
    for into, out, activation in zip(sizes, sizes[1:], activations, strict=False):
        layers += [mb.Linear(into, out, dtype=dtype), activation()]
    return mb.Sequential(*layers, mb.Linear(sizes[-1], sizes[-1], dtype=dtype))


def both_ways(make, x, y, steps=50):
    """``steps`` from Python and replayed: both end states, and the losses."""
    results = []
    for replayed in (False, True):
        mb.manual_seed(0)
        net, loss, optimizer = make()
        if replayed:
            losses = mb.record(net, loss, optimizer, x, y).run(steps)
        else:
            losses = np.array([step(net, loss, optimizer, x, y) for _ in range(steps)])
        results.append((state(net, optimizer), losses))
    (one, losses), (other, replayed_losses) = results
    assert_same(one, other)
    np.testing.assert_array_equal(losses, replayed_losses)


@settings(deadline=None, max_examples=25, phases=[p for p in Phase if p is not Phase.shrink])
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_random_networks_and_optimizers(data, seed):
    rng = np.random.default_rng(seed)
    sizes = [data.draw(st.integers(1, 20)) for _ in range(data.draw(st.integers(2, 4)))]
    chosen = [data.draw(st.sampled_from(ACTIVATIONS)) for _ in sizes[1:]]
    optimizer = data.draw(st.sampled_from(OPTIMIZERS))
    loss = data.draw(st.sampled_from((mb.MSELoss, mb.L1Loss, mb.HuberLoss, mb.BCEWithLogitsLoss)))
    samples = data.draw(st.integers(1, 9))
    dtype = data.draw(st.sampled_from(("float32", "float64")))
    x, y = rng.standard_normal((samples, sizes[0])).astype(dtype), rng.random((samples, sizes[-1])).astype(dtype)

    def make():
        net = dense(sizes, chosen, dtype)
        return net, loss(), optimizer(net.parameters())

    both_ways(make, x, y)


def classifier(*layers, weight=None, smoothing=0.0):
    def make():
        net = mb.Sequential(*(layer() for layer in layers))
        return net, mb.CrossEntropyLoss(weight=weight, label_smoothing=smoothing), mb.Adam(net.parameters(), lr=0.01)

    return make


NETWORKS = {
    "cnn": (
        classifier(
            lambda: mb.Conv2d(1, 4, 3, padding=1), mb.ReLU, lambda: mb.MaxPool2d(2), lambda: mb.Conv2d(4, 4, 3), mb.GELU,
            lambda: mb.AvgPool2d(2), mb.Flatten, lambda: mb.Dropout(0.5), lambda: mb.Linear(4, 3),
        ),
        (1, 8, 8),
    ),
    "pooled": (classifier(lambda: mb.Conv2d(1, 3, 3), mb.GlobalAvgPool2d, weight=[1.0, 2.0, 0.5], smoothing=0.1), (1, 8, 8)),
    "rnn": (classifier(lambda: mb.RNN(4, 6, batch_first=True), lambda: mb.LastStep(True), lambda: mb.Linear(6, 3)), (5, 4)),
    "lstm": (
        classifier(
            lambda: mb.LSTM(4, 6, 2, dropout=0.2, bidirectional=True, batch_first=True),
            lambda: mb.LastStep(True), lambda: mb.Linear(12, 3),
        ),
        (5, 4),
    ),
    "gru": (classifier(lambda: mb.GRU(4, 6, batch_first=True), mb.Flatten, lambda: mb.Linear(30, 3)), (5, 4)),
    "conv1d": (classifier(lambda: mb.Conv1d(5, 4, 3), mb.Flatten, lambda: mb.Linear(8, 3)), (5, 4)),
    "softmax": (classifier(lambda: mb.Linear(4, 5), mb.Softmax, lambda: mb.Linear(5, 3)), (4,)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_other_layers(name):
    make, shape = NETWORKS[name]
    rng = np.random.default_rng(1)
    both_ways(make, rng.standard_normal((7, *shape)).astype(np.float32), rng.integers(0, 3, 7), steps=12)


def test_recording_changes_nothing_and_data_are_read_in_place():
    x, y = xor()
    net, loss, optimizer = xor_parts()
    before = state(net, optimizer)
    program = mb.record(net, loss, optimizer, x, y)
    assert_same(before, state(net, optimizer))
    np.testing.assert_array_equal(x, xor()[0])
    twin = xor_parts()
    program.run(3)
    x[...], optimizer.lr = 1 - x, 0.01
    program.run(4)
    for k in range(7):
        twin[2].lr = 0.1 if k < 3 else 0.01
        step(*twin, xor()[0] if k < 3 else 1 - xor()[0], y)
    assert_same(state(net, optimizer), state(twin[0], twin[2]))


def test_batches_are_taken_in_turn():
    rng = np.random.default_rng(0)
    x, y = rng.random((6, 2), np.float32), rng.random((6, 1), np.float32)
    net, loss, optimizer = xor_parts()
    twin = xor_parts()
    program = mb.record(net, loss, optimizer, x, y, batch_size=2)
    losses = np.concatenate([program.run(2), program.run(5)])
    expected = [step(*twin, x[k % 3 * 2 :][:2], y[k % 3 * 2 :][:2]) for k in range(7)]
    np.testing.assert_array_equal(losses, expected)
    assert_same(state(net, optimizer), state(twin[0], twin[2]))


# ---------------------------------------------------------------------- what is never replayed


@pytest.mark.parametrize("layers", [(Scale(2), mb.Linear(2, 1)), (mb.Linear(2, 3), Scale(3), mb.Linear(3, 1))])
def test_a_step_with_numpy_in_it_is_refused(layers):
    net = mb.Sequential(*layers)
    optimizer = mb.SGD(net.parameters(), lr=0.1)
    before = state(net, optimizer)
    with pytest.raises(ValueError, match="other means than kernels"):
        mb.record(net, mb.MSELoss(), optimizer, *xor())
    assert_same(before, state(net, optimizer))


def test_a_class_of_ones_own_is_trusted_only_if_it_says_so():
    net = mb.Sequential(mb.Linear(2, 2), Twice(), mb.Linear(2, 1))
    parts = net, mb.MSELoss(), mb.SGD(net.parameters())
    mb.record(*parts, *xor()).run(3)

    class Silent(Twice):
        pass

    silent = mb.Sequential(mb.Linear(2, 2), Silent())
    with pytest.raises(ValueError, match="class of your own"):
        mb.record(silent, mb.MSELoss(), mb.SGD(silent.parameters()), xor()[0], xor()[0])


def test_the_reference_backend_is_refused():
    with mb.backend("reference"), pytest.raises(ValueError, match="reference"):
        mb.record(*xor_parts(), *xor())
    assert get_backend() == "fast"


def _another_array(net, loss, optimizer, x):
    net[0].__dict__["W"] = net[0].W.copy()


def _another_setting(net, loss, optimizer, x):
    net[1].p = 0.1


def _another_counter(net, loss, optimizer, x):
    net[1].counter = np.zeros(2, np.uint64)


def _another_shape(net, loss, optimizer, x):
    x.shape = (2, 4)


def _other_memory(net, loss, optimizer, x):
    x.resize((9000, 2), refcheck=False)


def _another_reduction(net, loss, optimizer, x):
    loss.reduction = "sum"


@pytest.mark.filterwarnings("ignore:.*shape.*:DeprecationWarning")
@pytest.mark.parametrize(
    "change", [_another_array, _another_setting, _another_counter, _another_shape, _other_memory, _another_reduction]
)
def test_what_has_changed_is_not_replayed(change):
    net = mb.Sequential(mb.Linear(2, 3), mb.Dropout(0.5), mb.Linear(3, 1))
    loss, optimizer, (x, y) = mb.MSELoss(), mb.SGD(net.parameters()), xor()
    program = mb.record(net, loss, optimizer, x, y)
    program.run(1)
    change(net, loss, optimizer, x)
    with pytest.raises(RuntimeError, match="record the program again"):
        program.run(1)


def test_buffers_of_a_program_are_not_handed_out_again():
    x, y = xor()
    net, loss, optimizer = xor_parts()
    program = mb.record(net, loss, optimizer, x, y)
    twin = xor_parts()
    for _ in range(5):
        program.run(1)
        other = net(np.ones_like(x))
        step(*twin, x, y)
        twin[0](np.ones_like(x))
        assert not np.shares_memory(other, program.prediction)
    assert_same(state(net, optimizer), state(twin[0], twin[2]))


# ---------------------------------------------------------------------- what else a program does


def test_inference_equals_predict():
    net = mb.Sequential(mb.Linear(4, 8), mb.Dropout(0.5), mb.Tanh(), mb.Linear(8, 2))
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    infer = mb.record(net, x=x)
    first = infer(x)
    np.testing.assert_array_equal(first, net.predict(x))
    np.testing.assert_array_equal(infer(-x), net.predict(-x))
    np.testing.assert_array_equal(first, net.predict(x))  # which is the caller's own
    assert net.training
    net[0].W = 2 * net[0].W  # written in place
    np.testing.assert_array_equal(infer(x), net.predict(x))
    with pytest.raises(ValueError, match="shape"):
        infer(x[:2])
    net[0].__dict__["W"] = net[0].W.copy()
    with pytest.raises(RuntimeError, match="replaced"):
        infer(x)


def policy():
    mb.manual_seed(0)
    return mb.Sequential(mb.Linear(4, 8), mb.LeakyReLU(0.1), mb.Linear(8, 2))


def test_inference_writes_where_it_is_told():
    net, x = policy(), np.ones((3, 4), np.float32)
    infer, out = mb.record(net, x=x), np.empty((3, 2), np.float32)
    assert infer(x, out) is out
    np.testing.assert_array_equal(out, net.predict(x))
    np.testing.assert_array_equal(infer(np.ones((4, 3), np.float32).T), out)  # not contiguous
    for wrong in (np.empty((2, 3), np.float32), np.empty((3, 2)), np.empty((3, 4), np.float32)[:, ::2]):
        with pytest.raises(ValueError, match="out must"):
            infer(x, wrong)
    for wrong in (x[:2], x[0], x.astype(np.float64), x.tolist()):
        with pytest.raises(ValueError, match="expected an array of float32, shape"):
            infer(wrong)


def _another_weight(net):
    net[0].__dict__["W"] = net[0].W.copy()


def _another_slope(net):
    net[1].negative_slope = 0.2


def _another_layer(net):
    net.layers = (*net.layers, mb.ReLU())


def _turned_weight(net):
    net[0].W.shape = (4, 8)


@pytest.mark.filterwarnings("ignore:.*shape.*:DeprecationWarning")
@pytest.mark.parametrize("change", [_another_weight, _another_slope, _another_layer, _turned_weight])
def test_a_changed_network_is_not_inferred_with(change):
    net, x = policy(), np.ones((1, 4), np.float32)
    infer = mb.record(net, x=x)
    before = infer(x)
    change(net)
    with pytest.raises(RuntimeError, match="changed or replaced since the program was recorded; record it again"):
        infer(x)
    np.testing.assert_array_equal(before, infer.y)  # nothing ran


def test_a_freed_weight_is_not_inferred_with():
    net, x = policy(), np.ones((1, 4), np.float32)
    own = net[0].__dict__["b"] = np.zeros(8, np.float32)
    infer = mb.record(net, x=x)
    own.resize(90_000, refcheck=False)
    with pytest.raises(RuntimeError, match="changed or replaced"):
        infer(x)


def test_a_forward_pass_with_numpy_in_it_is_refused():
    with pytest.raises(ValueError, match="other means than kernels"):
        mb.record(mb.Sequential(mb.Linear(2, 3), Scale(3), mb.Linear(3, 1)), x=xor()[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_predictions_that_come_again_are_the_same(name):
    make, shape = NETWORKS[name]
    mb.manual_seed(0)
    net, _, _ = make()
    x = np.random.default_rng(1).standard_normal((5, 2, *shape)).astype(np.float32)
    with_program = [net.predict(batch) for batch in x]
    alone = [net.predict(sample[None]) for batch in x for sample in batch]
    fresh = [net.eval().forward(batch).copy() for batch in x]
    np.testing.assert_array_equal(with_program, fresh)
    np.testing.assert_array_equal(alone, [net.forward(sample[None]).copy() for batch in x for sample in batch])


def test_predictions_follow_the_network():
    net, x = policy(), np.ones((1, 4), np.float32)
    for change in (lambda net: None, _another_weight, _another_slope, lambda net: net[0].W.fill(0.5), _another_layer):
        change(net)
        expected = net.eval().forward(x).copy()
        net.train()
        for _ in range(4):
            np.testing.assert_array_equal(net.predict(x), expected)
    assert any(net.predictor._programs.values())
    with mb.backend("reference"):
        assert_close(net.predict(x), expected, terms=8)
    with pytest.raises(ValueError, match="expects x of shape"):
        net.predict(x[:, :2])
    net(x)
    net.predict(x)
    with pytest.raises(RuntimeError, match="forward"):  # what predict says of itself: nothing is cached
        net.backward(np.ones((1, 2), np.float32))


def test_threads_that_predict_at_once_do_not_mix():
    net, rng = policy(), np.random.default_rng(0)
    xs = rng.standard_normal((4, 2000, 1, 4)).astype(np.float32)
    expected = [net.predict(x[:, 0], batch_size=1) for x in xs]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda x: np.concatenate([net.predict(sample) for sample in x]), xs))
    np.testing.assert_array_equal(results, expected)


def test_a_copy_of_a_network_has_a_predictor_of_its_own():
    net, x = policy(), np.ones((1, 4), np.float32)
    for _ in range(3):
        net.predict(x)
    other = pickle.loads(pickle.dumps(copy.deepcopy(net)))
    other[0].W = 0 * other[0].W
    for _ in range(3):
        assert not np.array_equal(net.predict(x), other.predict(x))


def test_addresses_are_numpys_own():
    for a in (np.zeros(3), np.zeros((4, 5))[1:, ::2], np.zeros(()), np.empty((0, 2))):
        assert address(a) == a.ctypes.data


# ---------------------------------------------------------------------- one proof for all that are alike


def test_a_step_like_a_verified_one_is_not_verified_again(monkeypatch):
    verified = []
    verify = programs.Program.verify
    monkeypatch.setattr(programs.Program, "verify", lambda self: (verified.append(self), verify(self)))
    monkeypatch.setattr(programs, "_verified", {})
    x, y = xor()

    def record(activation=mb.ReLU, optimizer=mb.SGD, x=x, y=y, loss=mb.MSELoss, **options):
        net = mb.Sequential(mb.Linear(2, 10), activation(), mb.Linear(10, 1))
        return mb.record(net, loss(), optimizer(net.parameters(), **options), x, y)

    record()
    record(lr=0.3, momentum=0.9)
    assert len(verified) == 1
    for number, options in enumerate(
        (
            {"activation": mb.Tanh}, {"optimizer": mb.Adam}, {"nesterov": True, "momentum": 0.9}, {"x": x[:2], "y": y[:2]},
            {"loss": mb.L1Loss}, {"activation": lambda: mb.LeakyReLU(0.1)}, {"activation": lambda: mb.LeakyReLU(0.2)},
            {"activation": Twice}, {"activation": Twice},
        ),
        start=2,
    ):  # fmt: skip
        record(**options)
        assert len(verified) == number


def test_memory_that_hangs_together_otherwise_does_not_fit():
    memory = Memory([1000, 2000, 2040, 1000, 3000], [100, 80, 40, 50, 8])
    assert memory.fits([5000, 1000, 1040, 5000, 200], [100, 80, 40, 50, 8])
    assert not memory.fits([5000, 1000, 1040, 5000, 200], [100, 80, 40, 50, 9])  # another size
    assert not memory.fits([5000, 1000, 1032, 5000, 200], [100, 80, 40, 50, 8])  # elsewhere inside
    assert not memory.fits([5000, 1000, 1040, 6000, 200], [100, 80, 40, 50, 8])  # two arrays that were one
    assert not memory.fits([5000, 1000, 1040, 5000, 5050], [100, 80, 40, 50, 8])  # one that was two
    assert not memory.fits([5000, 1000, 1040, 5000, 1079], [100, 80, 40, 50, 8])


def test_a_program_prints_its_step():
    program = mb.record(*xor_parts(), *xor())
    lines = str(program).splitlines()
    assert len(lines) == 2 + len(program.calls)
    assert "y[n,o] = Σ_i W[o,i] x[n,i] + b[o]" in lines[1]
    assert "x 4×2" in lines[1]
    assert lines[1].split()[-2:] == ["160", str(4 * (40 + 8 + 20 + 10))]  # 2 · 4 · 10 · 2 operations


def test_a_profile_leaves_everything_as_it_was(tmp_path):
    net, loss, optimizer = xor_parts()
    program = mb.record(net, loss, optimizer, *xor())
    program.run(5)
    before = state(net, optimizer)
    profile = program.profile()
    assert_same(before, state(net, optimizer))
    assert profile.names[0] == "linear"
    assert sum(profile.shares) == pytest.approx(1)
    assert len(str(profile).splitlines()) == 2 + len(program.calls)
    pytest.importorskip("matplotlib", reason="draws a picture with matplotlib, which is not installed")
    profile.plot(tmp_path / "profile.png")
    assert (tmp_path / "profile.png").stat().st_size


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_runs_its_parents_program():
    parts = xor_parts()
    program = mb.record(*parts, *xor())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            losses = program.run(100)
            code = 0 if losses[-1] < losses[0] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
