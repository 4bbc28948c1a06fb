"""gradcheck passes what is right, catches what is wrong, and says where."""

import copy

import numpy as np
import pytest
from tolerances import GRADCHECK

import manualbp as mb
from manualbp.gradcheck import STEP

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


class Scale(mb.Layer):
    """y = s · x, as in the documentation of Layer."""

    s = mb.Weight("scale")

    def __init__(self, size):
        super().__init__(np.float32)
        self.s = np.ones(size, np.float32)

    def forward(self, x):
        x = self.take(x)
        return self.give(self.s * x, cache=(x,))

    def backward(self, dy):
        (x,), dy = self.recall(dy)
        self.ds += (dy * x).sum(axis=0)
        return dy * self.s


# ---------------------------------------------------------------------- what is right


def test_a_users_own_layer_passes():
    check = mb.gradcheck(Scale(3), X)
    assert check, str(check)
    assert check.error <= GRADCHECK
    assert check.checked == X.size + 3
    assert "gradients agree: 18 coordinates; worst" in str(check)


def test_a_users_own_layer_passes_inside_a_network():
    check = mb.gradcheck(mb.Sequential(mb.Linear(3, 4), mb.Tanh(), Scale(4), mb.Linear(4, 2)), X)
    assert check, str(check)
    assert check.checked == X.size + (12 + 4) + 4 + (8 + 2)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: mb.RNN(3, 4, num_layers=2, bidirectional=True), (4, 2, 3)),
        (lambda: mb.LSTM(3, 4, batch_first=True), (2, 4, 3)),
        (lambda: mb.GRU(3, 4, num_layers=2, dropout=0.5), (4, 2, 3)),
        (lambda: mb.Sequential(mb.Linear(3, 20), mb.Dropout(0.4), mb.Linear(20, 2)), (5, 3)),
        (lambda: mb.Sequential(mb.Conv2d(2, 3, 3), mb.ReLU(), mb.MaxPool2d(2), mb.Flatten(), mb.Linear(12, 2)), (2, 2, 6, 6)),
    ],
    ids=["RNN", "LSTM", "GRU with dropout", "dropout", "CNN"],
)
def test_networks_pass(make, shape):
    mb.manual_seed(0)
    check = mb.gradcheck(make(), np.random.default_rng(1).normal(size=shape))
    assert check, str(check)


def test_a_loss_passes():
    t = X[::-1].copy()
    check = mb.gradcheck(mb.MSELoss(), X, t)
    assert check, str(check)
    assert check.checked == X.size
    assert mb.gradcheck(mb.CrossEntropyLoss(reduction="none"), X, np.array([0, 1, 2, 0, 1]))


# ---------------------------------------------------------------------- what is wrong


class Transposed(mb.Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        dx[...] = dy @ self.W.T
        return dx


class BiasOfTheMean(mb.Linear):
    def backward(self, dy):
        before = self.db.copy()
        dx = super().backward(dy)
        self.db = before + dy.mean(axis=0)
        return dx


class WrongSign(mb.Linear):
    def backward(self, dy):
        return -super().backward(dy)


class OneWeightWrong(mb.Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dW[2, 1] *= 1.001
        return dx


class Overwriting(mb.Linear):
    """Its gradients do not accumulate."""

    def backward(self, dy):
        self.zero_grad()
        return super().backward(dy)


class NoDerivative(mb.Tanh):
    def backward(self, dy):
        self.recall(dy)
        return dy.copy()


class NotANumber(mb.Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        dx[1, 2] = np.nan
        return dx


PLANTED = [
    (Transposed, (3, 3), "x["),
    (BiasOfTheMean, (3, 3), "bias["),
    (WrongSign, (3, 3), "x["),
    (OneWeightWrong, (3, 3), "weight[2, 1]"),
    (Overwriting, (3, 3), ("weight[", "bias[")),
    (NoDerivative, (), "x["),
    (NotANumber, (3, 3), "x[1, 2]"),
]


@pytest.mark.parametrize(("make", "sizes", "worst"), PLANTED)
def test_planted_errors_are_found_and_named(make, sizes, worst):
    mb.manual_seed(0)
    check = mb.gradcheck(make(*sizes), X)
    assert not check
    assert not check.ok
    assert check.worst.startswith(worst)
    assert check.error > 1e-5
    assert f"GRADIENTS DIFFER: {check.checked} coordinates; worst {check.worst}" in str(check)


def test_a_planted_error_is_found_inside_a_network():
    mb.manual_seed(0)
    check = mb.gradcheck(mb.Sequential(mb.Linear(3, 3), mb.Tanh(), OneWeightWrong(3, 3)), X)
    assert not check
    assert check.worst == "2.weight[2, 1]"


def test_a_forgotten_factor_in_a_loss_is_found():
    class Half(mb.MSELoss):
        def backward(self, dl=None):
            return super().backward(dl) / 2

    check = mb.gradcheck(Half(), X, np.zeros_like(X))
    assert not check
    assert check.analytic == pytest.approx(check.numeric / 2)


def test_a_wrong_slope_is_not_taken_for_a_kink():
    class Leaky(mb.ReLU):
        def backward(self, dy):
            return super().backward(dy) + np.float64(0.01) * dy

    check = mb.gradcheck(Leaky(), X)
    assert not check
    assert check.kinks == 0


def test_a_gradient_of_the_wrong_shape_is_found():
    class Flat(mb.ReLU):
        def backward(self, dy):
            return super().backward(dy).ravel()

    check = mb.gradcheck(Flat(), X)
    assert not check
    assert "x: gradient of shape (15,), not (5, 3)" in str(check)


# ---------------------------------------------------------------------- complex step, float32


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: Scale(3), (5, 3)),
        (lambda: mb.Sequential(mb.Linear(3, 4), mb.Tanh(), Scale(4), mb.Linear(4, 2)), (5, 3)),
        (lambda: mb.RNN(3, 4), (4, 2, 3)),
        (lambda: mb.Conv2d(2, 3, 3, padding=1), (2, 2, 4, 4)),
        (lambda: mb.Sequential(mb.Dropout(0.4), mb.Softmax()), (5, 3)),
    ],
    ids=["own layer", "network", "RNN", "Conv2d", "dropout and softmax"],
)
def test_a_complex_step_is_exact_to_rounding(make, shape):
    mb.manual_seed(0)
    with mb.backend("reference"):
        check = mb.gradcheck(make(), np.random.default_rng(1).normal(size=shape), method="complex")
    assert check, str(check)
    assert check.error < 1e-14


def test_a_complex_step_sees_what_differences_cannot():
    class Nearly(mb.Tanh):
        def backward(self, dy):
            return super().backward(dy) * (1 + 1e-10)

    assert mb.gradcheck(Nearly(), X)
    assert not mb.gradcheck(Nearly(), X, method="complex")


class Absolute(mb.Layer):
    """y = x |x|, differentiable, and no analytic function of a complex x."""

    def forward(self, x):
        x = self.take(x)
        return self.give(x * np.abs(x), cache=(x,))

    def backward(self, dy):
        (x,), dy = self.recall(dy)
        return 2 * np.abs(x) * dy


class Cast(Absolute):
    """Its forward takes float64 alone."""

    def forward(self, x):
        return super().forward(np.asarray(x).astype(np.float64))


class Typed(Absolute):
    def forward(self, x):
        if x.dtype == np.complex128:
            raise ValueError("real numbers only")
        return super().forward(x)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (Absolute(), r"the forward of Absolute\(\) loses the imaginary part of x .* use method='central'"),
        (Cast(), r"does not take complex numbers \(ComplexWarning: .*use method='central'"),
        (Typed(), r"does not take complex numbers \(ValueError: real numbers only\): use method='central'"),
    ],
    ids=repr,
)
def test_a_forward_that_carries_no_complex_numbers_is_refused(layer, why):
    assert mb.gradcheck(layer, X)
    with pytest.raises(TypeError, match=why):
        mb.gradcheck(layer, X, method="complex")


def test_a_complex_step_leaves_the_layer_alone():
    layer = Scale(3)
    mb.gradcheck(layer, X, method="complex")
    assert layer.dtype == layer.s.dtype == np.float32
    with pytest.raises(ValueError, match="method must be one of central, complex, got 'forward'"):
        mb.gradcheck(layer, X, method="forward")


def test_a_backward_in_float32_is_off_by_its_rounding():
    check = mb.gradcheck(mb.Sequential(Scale(3), mb.Tanh()), X, dtype="float32")
    assert check, str(check)
    assert 1e-9 < check.error < 1e-6
    assert not mb.gradcheck(WrongSign(3, 3), X, dtype="float32")


def test_the_report_has_a_line_for_each_array():
    class Half(mb.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.db *= np.float64(0.5)
            return dx

    check = mb.gradcheck(Half(3, 2), X)
    assert [part.worst.partition("[")[0] for part in check.parts] == ["x", "weight", "bias"]
    assert [part.ok for part in check.parts] == [True, True, False]
    assert [line.split("[")[0] for line in check.report().splitlines() if line.endswith("DIFFERS")] == ["bias"]


# ---------------------------------------------------------------------- kinks


@pytest.mark.parametrize("near", [0.0, 0.3, -0.7, 1.0, 1.5, -1.5])
def test_a_kink_within_reach_is_left_out(near):
    check = mb.gradcheck(mb.ReLU(), np.array([[near * STEP, 1.0, -1.0]]))
    assert check, str(check)
    assert (check.checked, check.kinks) == (2, 1)
    assert "2 coordinates, 1 at kinks left out" in str(check)


def test_ties_of_a_maximum_are_left_out():
    x = np.zeros((1, 1, 2, 4))
    x[0, 0, 0, 2:] = 1, 3
    check = mb.gradcheck(mb.MaxPool2d(2), x)
    assert check, str(check)
    assert (check.checked, check.kinks) == (4, 4)


@pytest.mark.parametrize("loss", [mb.L1Loss(), mb.HuberLoss(delta=1.0), mb.SmoothL1Loss(beta=0.0)], ids=repr)
def test_kinks_of_losses(loss):
    check = mb.gradcheck(loss, np.array([0.0, 0.5, 1.0, -3.0]), np.zeros(4))
    assert check, str(check)


def test_nothing_but_kinks_is_no_success():
    check = mb.gradcheck(mb.ReLU(), np.zeros((2, 2)))
    assert not check
    assert (check.checked, check.kinks) == (0, 4)
    assert "NOTHING TO COMPARE" in str(check)


# ---------------------------------------------------------------------- manners


def test_the_layer_is_left_alone():
    mb.manual_seed(0)
    net = mb.Sequential(mb.Linear(3, 4), mb.Dropout(0.5), mb.Linear(4, 2))
    x, twin = X.copy(), copy.deepcopy(net)
    y = net(x)
    net.backward(y)
    gradients = [p.grad.copy() for p in net.parameters()]
    counter = net[1].counter.copy()
    mb.gradcheck(net, x)
    for parameter, same, gradient in zip(net.parameters(), twin.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.value, same.value)
        np.testing.assert_array_equal(parameter.grad, gradient)
    np.testing.assert_array_equal(net[1].counter, counter)
    np.testing.assert_array_equal(x, X)
    assert net[0].W.dtype == np.float32


def test_gradients_from_before_do_not_count():
    net = mb.Sequential(mb.Linear(3, 4), mb.Sequential(mb.Linear(4, 2)))
    net.backward(net(X))
    check = mb.gradcheck(net, X)
    assert check, str(check)


def test_a_loss_is_left_alone():
    loss, t = mb.MSELoss(), np.zeros_like(X)
    loss(X, t)
    mb.gradcheck(loss, 2 * X, t)
    np.testing.assert_array_equal(loss.backward(), np.float32(2 / X.size) * X)


def test_many_coordinates_are_sampled_and_a_seed_repeats_them():
    layer, x = mb.Linear(30, 20), np.ones((4, 30))
    check = mb.gradcheck(layer, x, at_most=10)
    assert check.checked == 30
    assert mb.gradcheck(layer, x, at_most=10) == check
    assert mb.gradcheck(layer, x, at_most=10, seed=1) != check


def test_the_tolerance_decides():
    layer = mb.Tanh()
    assert mb.gradcheck(layer, X, tolerance=1e-7)
    assert not mb.gradcheck(layer, X, tolerance=1e-20)


def test_the_direction_is_not_the_input_of_the_same_seed():
    """Else a mistake of x for δ would go unseen."""

    class WrongSide(mb.ReLU):
        def backward(self, dy):
            self.recall(dy)
            return np.where(dy > 0, dy, 0)

    assert not mb.gradcheck(WrongSide(), np.random.default_rng(0).standard_normal((4, 5)), seed=0)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="gradcheck expects a float input, got int64"):
        mb.gradcheck(mb.ReLU(), np.ones((2, 2), np.int64))


def test_what_is_no_layer_is_refused():
    with pytest.raises(TypeError, match="expects a layer, a network or a loss, got 'relu'"):
        mb.gradcheck("relu", np.ones(3))


def test_a_loss_needs_its_target():
    with pytest.raises(TypeError, match="needs its target"):
        mb.gradcheck(mb.MSELoss(), X)


def test_evaluation_mode_has_no_gradient():
    with pytest.raises(RuntimeError, match=r"call train\(\) first"):
        mb.gradcheck(mb.Linear(3, 2).eval(), X)
