"""Every loss against central differences, against PyTorch, against numbers worked out by hand, and against bad input."""

import numpy as np
import pytest
from loss_cases import LOSSES, WEIGHT
from tolerances import GRADCHECK, assert_close

import manualbp as mb

each_loss = pytest.mark.parametrize("case", LOSSES, ids=str)
each_backend = pytest.mark.parametrize("backend", ["fast", "reference"])
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
ELEMENTWISE = ["MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss"]


def value_and_gradient(case, y, t):
    """ℓ or L, and its gradient; terms are weighted differently where they stay apart."""
    loss = case.ours()
    value = loss(y, t)
    return np.asarray(value, y.dtype), loss.backward(weights_of(value)) if np.ndim(value) else loss.backward()


def weights_of(terms):
    return np.linspace(-1, 2, terms.size, dtype=terms.dtype).reshape(terms.shape)


def test_every_loss_has_a_case():
    assert {case.name for case in LOSSES} == set(mb.losses.__all__) - {"Loss"}


# ---------------------------------------------------------------------- derivatives


@each_backend
@each_loss
def test_backward_is_the_derivative_of_forward(case, backend):
    y, t = case.draw()
    with mb.backend(backend):
        check = mb.gradcheck(case.ours(), y, t, tolerance=GRADCHECK)
    assert check, str(check)
    assert check.checked == y.size


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@each_dtype
@each_loss
def test_value_and_gradient_are_pytorchs(case, dtype, torch):
    y, t = case.draw(dtype)
    value, dy = value_and_gradient(case, y, t)
    theirs = torch.tensor(y, requires_grad=True)
    expected = case.torchs(torch, dtype)(theirs, torch.tensor(t))
    expected.backward(torch.tensor(weights_of(value)) if value.ndim else None)
    assert_close(value, expected.detach().numpy(), terms=y.size)
    assert_close(dy, theirs.grad.numpy(), terms=y.shape[1] if y.ndim > 1 else 1)
    assert dy.dtype == dtype


@each_dtype
@each_loss
def test_backends_agree(case, dtype):
    y, t = case.draw(dtype)
    value, dy = value_and_gradient(case, y, t)
    with mb.backend("reference"):
        expected, expected_dy = value_and_gradient(case, y, t)
    assert_close(value, expected, terms=y.size)
    assert_close(dy, expected_dy, terms=y.shape[1] if y.ndim > 1 else 1)


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_backends_are_equal_on_small_integers(name, reduction):
    rng = np.random.default_rng(0)
    y, t = rng.integers(-9, 9, (2, 8, 4)).astype(np.float32)
    results = []
    for backend in ("fast", "reference"):
        loss = getattr(mb, name)(reduction)
        with mb.backend(backend):
            results.append((loss(y, t), loss.backward()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


# ---------------------------------------------------------------------- definitions, by hand


def test_mse_by_hand():
    y, t = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 2.0], [5.0, 1.0]])
    for reduction, value, factor in (("mean", 21 / 4, 2 / 4), ("sum", 21, 2)):  # squares 1, 0, 4, 16
        loss = mb.MSELoss(reduction)
        assert loss(y, t) == value
        np.testing.assert_array_equal(loss.backward(), factor * (y - t))


DIVISORS = [
    ("MSELoss", {}, 12), ("L1Loss", {}, 12), ("HuberLoss", {}, 12), ("SmoothL1Loss", {}, 12), ("BCELoss", {}, 12),
    ("BCEWithLogitsLoss", {}, 12), ("BCEWithLogitsLoss", {"pos_weight": 3.0}, 12),
    ("KLDivLoss", {}, 12), ("KLDivLoss", {"reduction": "batchmean"}, 4),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "divisor"), DIVISORS)
def test_a_mean_divides_by(name, options, divisor):
    rng = np.random.default_rng(0)
    y, t = rng.uniform(0.1, 0.9, (2, 4, 3))
    total, mean = getattr(mb, name)(**options | {"reduction": "sum"}), getattr(mb, name)(**options)
    assert_close(mean(y, t), total(y, t) / divisor)
    assert_close(mean.backward(), total.backward() / divisor)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_a_weighted_mean_divides_by_the_weights_of_the_targets_that_count(name):
    x = np.random.default_rng(0).normal(size=(4, 5))
    t = np.array([0, 4, -100, 1])
    total, mean = getattr(mb, name)(WEIGHT, "sum"), getattr(mb, name)(WEIGHT)
    divisor = WEIGHT[0] + WEIGHT[4] + WEIGHT[1]
    assert_close(mean(x, t), total(x, t) / divisor)
    assert_close(mean.backward(), total.backward() / divisor)


def test_cross_entropy_of_probabilities_divides_by_the_columns():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(4, 5, 2)), np.moveaxis(rng.dirichlet(np.ones(5), (4, 2)), 2, 1)
    assert_close(mb.CrossEntropyLoss(WEIGHT)(x, t), mb.CrossEntropyLoss(WEIGHT, "sum")(x, t) / 8)


def test_cross_entropy_gradient_is_p_minus_t_over_n():
    x, t = np.random.default_rng(0).normal(size=(6, 4)), np.array([0, 1, 2, 3, 1, 1])
    loss = mb.CrossEntropyLoss()
    loss(x, t)
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    assert_close(loss.backward(), (p - np.eye(4)[t]) / 6)


def test_cross_entropy_is_nll_after_log_softmax():
    x, t = np.random.default_rng(0).normal(size=(6, 4)), np.array([0, 1, 2, 3, 1, 1])
    layer, nll, loss = mb.LogSoftmax(dim=1), mb.NLLLoss(), mb.CrossEntropyLoss()
    assert_close(nll(layer(x), t), loss(x, t))
    assert_close(layer.backward(nll.backward()), loss.backward())


def test_huber_is_half_a_square_and_then_a_line():
    t = np.zeros(4)
    np.testing.assert_array_equal(mb.HuberLoss("none", delta=2.0)(np.array([1.0, 2.0, 3.0, -3.0]), t), [0.5, 2, 4, 4])
    np.testing.assert_array_equal(mb.SmoothL1Loss("none", beta=2.0)(np.array([1.0, 2.0, 3.0, -3.0]), t), [0.25, 1, 2, 2])


@each_backend
def test_ignored_targets_have_no_gradient(backend):
    x = np.random.default_rng(0).normal(size=(4, 3))
    for loss in (mb.CrossEntropyLoss(ignore_index=1, label_smoothing=0.1), mb.NLLLoss(ignore_index=1)):
        with mb.backend(backend):
            loss(x, np.array([0, 1, 2, 1]))
            dx = loss.backward()
        assert not dx[[1, 3]].any()
        assert dx[[0, 2]].any()


@each_backend
def test_an_ignored_row_may_hold_nan(backend):
    x = np.array([[1.0, 2.0], [np.nan, 3.0]])
    with mb.backend(backend):
        assert np.isfinite(mb.NLLLoss(ignore_index=0)(x, np.array([1, 0])))


def test_all_ignored_is_zero_in_a_sum():
    loss = mb.CrossEntropyLoss(reduction="sum")
    assert loss(np.ones((2, 3)), np.array([-100, -100])) == 0
    assert not loss.backward().any()


# ---------------------------------------------------------------------- extremes


@each_backend
@each_dtype
def test_extreme_logits_are_finite(backend, dtype, torch):
    x = np.array([[1000, -1000, 999.5], [-1000, 1000, 0], [1000, 1000, 1000]], dtype)
    t = np.array([[1, 0, 1], [1, 0, 0.5], [0, 1, 0.25]], dtype)
    for name, target in (("CrossEntropyLoss", np.array([1, 0, 2])), ("CrossEntropyLoss", t / 2), ("BCEWithLogitsLoss", t)):
        loss, theirs = getattr(mb, name)(reduction="none"), torch.tensor(x)
        with mb.backend(backend):
            value, dx = loss(x, target), loss.backward()
        theirs.requires_grad_()
        expected = getattr(torch.nn, name)(reduction="none")(theirs, torch.tensor(target))
        expected.sum().backward()
        assert np.isfinite(value).all()
        assert np.isfinite(dx).all()
        assert_close(value, expected.detach().numpy())
        assert_close(dx, theirs.grad.numpy())


@each_dtype
def test_cross_entropy_keeps_its_precision_far_from_zero(dtype):
    """The largest logit is subtracted before anything is added to it."""
    x = np.array([[0.0, 0.5, 2.0]], dtype)
    far, near = mb.CrossEntropyLoss(reduction="none"), mb.CrossEntropyLoss(reduction="none")
    assert_close(far(x + dtype(4096), np.array([1])), near(x, np.array([1])))


@each_backend
@each_dtype
def test_certain_probabilities_are_cut(backend, dtype):
    y = np.array([0, 1, 0, 1], dtype)
    t = np.array([0, 1, 1, 0], dtype)
    loss = mb.BCELoss("none")
    with mb.backend(backend):
        np.testing.assert_array_equal(loss(y, t), [0, 0, 100, 100])
        dy = loss.backward()
    assert np.isfinite(dy).all()
    np.testing.assert_array_equal(np.sign(dy), [0, 0, -1, 1])


@each_backend
@each_loss
def test_a_nan_prediction_is_a_nan_loss(case, backend):
    y, t = case.draw()
    y[...] = np.nan
    with mb.backend(backend):
        value, dy = value_and_gradient(case, y, t)
    if case.options["reduction"] != "none":
        assert np.isnan(value)
    if case.name not in ("NLLLoss", "KLDivLoss"):  # linear in y: their gradients do not know it
        assert np.isnan(dy).any()


# ---------------------------------------------------------------------- arrays


@each_loss
def test_inputs_are_left_alone(case):
    y, t = case.draw()
    before = y.copy(), t.copy()
    value_and_gradient(case, y, t)
    np.testing.assert_array_equal(y, before[0])
    np.testing.assert_array_equal(t, before[1])


@each_loss
def test_any_layout_and_read_only_inputs_work(case):
    y, t = case.draw()
    expected = value_and_gradient(case, y, t)
    wide = np.repeat(y[..., None], 2, axis=-1)[..., 0]
    for strange in (np.array(y, order="F"), wide, read_only(y)):
        value, dy = value_and_gradient(case, strange, read_only(np.array(t, order="F")))
        np.testing.assert_array_equal(value, expected[0])
        np.testing.assert_array_equal(dy, expected[1])


def read_only(x):
    x = x.copy(order="K")
    x.flags.writeable = False
    return x


@each_loss
def test_results_that_are_held_are_never_overwritten(case):
    loss = case.ours()
    (y, t), (y2, t2) = case.draw(seed=1), case.draw(seed=2)
    value, dy = loss(y, t), loss.backward()
    before = np.copy(value), dy.copy()
    for _ in range(2):
        loss(y2, t2)
        loss.backward()
    np.testing.assert_array_equal(value, before[0])
    np.testing.assert_array_equal(dy, before[1])


def test_results_that_are_let_go_are_used_again():
    loss, (y, t) = mb.MSELoss(), np.ones((2, 1000))
    loss(y, t)
    address = loss.backward().ctypes.data
    loss(y, t)
    assert loss.backward().ctypes.data == address


def test_lists_are_taken_as_float32():
    loss = mb.MSELoss()
    assert loss([[1.0, 2.0]], [[0.0, 0.0]]) == 2.5
    assert loss.backward().dtype == np.float32
    assert mb.CrossEntropyLoss()([[0.0, 0.0]], [1]) == pytest.approx(np.log(2))


def test_terms_are_weighted_by_their_own_gradient():
    y, t = np.array([[1.0, 2.0]]), np.zeros((1, 2))
    loss = mb.MSELoss("none")
    for dl, expected in ((np.array([[10.0, 0.0]]), [[20, 0]]), (3.0, [[6, 12]]), (None, [[2, 4]])):
        loss(y, t)
        np.testing.assert_array_equal(loss.backward(dl), expected)


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_targets_of_another_shape_are_refused(name):
    y, t = np.full((4, 1), 0.5), np.full(4, 0.5)
    with pytest.raises(ValueError, match=rf"{name}.*\(4, 1\).*\(4,\)"):
        getattr(mb, name)()(y, t)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_integers_are_refused(name):
    y = np.full((4, 1), 0.5)
    with pytest.raises(TypeError, match=rf"{name}.*float64, got int64.*astype"):
        getattr(mb, name)()(y, np.ones((4, 1), int))
    with pytest.raises(TypeError, match=rf"{name}.*got int64"):
        getattr(mb, name)()(np.ones((4, 1), int), y)


@pytest.mark.parametrize("dtype", [np.float16, np.complex128, object, np.float32])
def test_dtypes_are_not_mixed(dtype):
    with pytest.raises(TypeError, match="MSELoss"):
        mb.MSELoss()(np.ones(3), np.ones(3, dtype))


@each_backend
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_labels_are_named(name, reduction, backend):
    y = np.full((3, 2), 0.5)
    t = y.copy()
    t[2, 1] = np.nan
    loss = getattr(mb, name)(reduction)
    with mb.backend(backend), pytest.raises(ValueError, match=rf"{name}.*target is NaN at \(2, 1\)"):
        loss(y, t)
    with pytest.raises(RuntimeError, match=name):
        loss.backward()


@each_backend
def test_nan_class_probabilities_are_named(backend):
    t = np.full((2, 3), 1 / 3)
    t[1, 0] = np.nan
    with mb.backend(backend), pytest.raises(ValueError, match=r"CrossEntropyLoss.*NaN at \(1, 0\)"):
        mb.CrossEntropyLoss()(np.ones((2, 3)), t)


@each_backend
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("wrong", [3, -1, 2**40])
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_a_class_that_does_not_exist_is_named(name, wrong, reduction, backend):
    x, t = np.zeros((2, 3, 2)), np.array([[0, 1], [wrong, 2]])
    with mb.backend(backend), pytest.raises(ValueError, match=rf"{name}.*from 0 to 2.*is {wrong} at \(1, 0\)"):
        getattr(mb, name)(reduction=reduction)(x, t)


@each_backend
@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.inf])
def test_probabilities_must_be_probabilities(wrong, backend):
    with mb.backend(backend), pytest.raises(ValueError, match=r"BCELoss.*from 0 to 1.*BCEWithLogitsLoss"):
        mb.BCELoss()(np.array([0.5, wrong]), np.array([1.0, 0.0]))


@each_backend
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_a_mean_over_no_target_is_refused(name, backend):
    with mb.backend(backend), pytest.raises(ValueError, match=f"{name}.*every target is ignore_index -100"):
        getattr(mb, name)()(np.ones((2, 3)), np.array([-100, -100]))


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
@pytest.mark.parametrize(
    ("t", "error"),
    [
        (np.zeros(2), TypeError),
        (np.zeros((2, 1)), TypeError),
        (np.array([True, False]), TypeError),
        (np.zeros(3, int), ValueError),
        (np.zeros((2, 1), int), ValueError),
    ],
)
def test_classes_of_wrong_kind_or_shape_are_refused(name, t, error):
    with pytest.raises(error, match=rf"{name}.*\(2,\)"):
        getattr(mb, name)()(np.zeros((2, 3)), t)


def test_probabilities_for_nll_and_of_another_dtype_are_refused():
    with pytest.raises(TypeError, match=r"NLLLoss.*integers"):
        mb.NLLLoss()(np.zeros((2, 3)), np.full((2, 3), 1 / 3))
    with pytest.raises(TypeError, match=r"CrossEntropyLoss.*float64.*float32"):
        mb.CrossEntropyLoss()(np.zeros((2, 3)), np.full((2, 3), 1 / 3, np.float32))


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_predictions_and_weights_must_have_one_number_per_class(name):
    with pytest.raises(ValueError, match=rf"{name}.*\(N, classes\).*\(3,\)"):
        getattr(mb, name)()(np.zeros(3), np.zeros((), int))
    with pytest.raises(ValueError, match=rf"{name}.*\(2,\) class weights.*3 classes"):
        getattr(mb, name)([1.0, 2.0])(np.zeros((1, 3)), np.array([0]))


def test_pos_weight_must_broadcast():
    with pytest.raises(ValueError, match=r"BCEWithLogitsLoss.*pos_weight \(2,\).*\(4, 3\)"):
        mb.BCEWithLogitsLoss(pos_weight=[1.0, 2.0])(np.zeros((4, 3)), np.zeros((4, 3)))


def test_weights_may_change_between_steps():
    y, t = np.zeros((2, 3)), np.array([0, 2])
    classes, logits = mb.CrossEntropyLoss([1.0, 2.0, 3.0]), mb.BCEWithLogitsLoss(pos_weight=2.0)
    classes(y, t), logits(y, np.ones((2, 3)))
    classes.weight, logits.pos_weight = [3.0, 1.0, 1.0], 5.0
    assert classes(y, t) == mb.CrossEntropyLoss([3.0, 1.0, 1.0])(y, t)
    assert logits(y, np.ones((2, 3))) == mb.BCEWithLogitsLoss(pos_weight=5.0)(y, np.ones((2, 3)))
    with pytest.raises(ValueError, match="read-only"):
        classes.weight[0] = 7.0  # would have no effect
    with pytest.raises(TypeError, match="CrossEntropyLoss: weight must be numbers"):
        classes.weight = "abc"


@each_loss
def test_a_failed_forward_leaves_no_cache(case):
    loss, (y, t) = case.ours(), case.draw()
    loss(y, t)
    with pytest.raises(TypeError, match=f"{case.name}.*float16"):
        loss(y.astype(np.float16), t)
    with pytest.raises(RuntimeError, match="backward needs a forward"):
        loss.backward()


@each_loss
def test_masks_are_not_lost(case):
    y, t = case.draw()
    with pytest.raises(TypeError, match=f"{case.name}.*masked arrays"):
        case.ours()(np.ma.masked_array(y), t)
    with pytest.raises(TypeError, match=f"{case.name}.*masked arrays"):
        case.ours()(y, np.ma.masked_array(t))


def test_negative_probabilities_are_named():
    with pytest.raises(ValueError, match=r"KLDivLoss.*probabilities as targets, got -1"):
        mb.KLDivLoss()(np.zeros(2), np.array([-1.0, 0.5]))


@pytest.mark.parametrize("name", sorted(set(mb.losses.__all__) - {"Loss"}))
def test_protocol_errors(name):
    make = getattr(mb, name)
    t = np.zeros(0, int) if name in ("CrossEntropyLoss", "NLLLoss") else np.zeros((0, 3))
    with pytest.raises(ValueError, match=rf"{name}.*empty.*\(0, 3\)"):
        make()(np.zeros((0, 3)), t)
    with pytest.raises(RuntimeError, match=f"{name}.*backward needs a forward"):
        make().backward()
    with pytest.raises(ValueError, match=f"{name}.*reduction.*mean, .*sum.*'average'"):
        make(reduction="average")


@each_loss
def test_backward_uses_the_forward_up(case):
    loss, (y, t) = case.ours(), case.draw()
    loss(y, t)
    loss.backward()
    with pytest.raises(RuntimeError, match=case.name):
        loss.backward()


@each_loss
def test_gradients_of_terms_must_fit(case):
    loss, (y, t) = case.ours(), case.draw()
    loss(y, t)
    what = "shape of ℓ" if case.options["reduction"] == "none" else "only with reduction='none'"
    with pytest.raises(ValueError, match=f"{case.name}.*{what}"):
        loss.backward(np.ones((7, 1)))


def test_transposed_gradients_of_terms_are_refused():
    loss = mb.CrossEntropyLoss(reduction="none")
    loss(np.zeros((2, 3, 4)), np.zeros((2, 4), int))
    with pytest.raises(ValueError, match=r"\(2, 4\), got \(4, 2\)"):
        loss.backward(np.ones((4, 2)))


def test_options_are_checked():
    for make, options, match in (
        (mb.HuberLoss, {"delta": 0}, "delta must be positive"),
        (mb.HuberLoss, {"delta": np.nan}, "delta must be positive"),
        (mb.SmoothL1Loss, {"beta": -1}, "beta must not be negative"),
        (mb.CrossEntropyLoss, {"label_smoothing": 1.5}, "label_smoothing must lie between 0 and 1"),
        (mb.NLLLoss, {"ignore_index": 1.5}, r"NLLLoss: ignore_index must be an integer, got 1\.5"),
    ):
        with pytest.raises(ValueError, match=match):
            make(**options)
    assert "batchmean" not in mb.MSELoss.reductions


def test_a_loss_without_formulas_says_so():
    with pytest.raises(NotImplementedError, match="no forward"):
        mb.losses.Loss()(np.ones(1), np.ones(1))
    with pytest.raises(NotImplementedError, match="no backward"):
        mb.losses.Loss().backward()


def test_looks():
    assert repr(mb.MSELoss()) == "MSELoss()"
    assert repr(mb.L1Loss("sum")) == "L1Loss(sum)"
