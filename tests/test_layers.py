"""Every layer, by the case table: derivatives, PyTorch, memory, bad input."""

import copy
import pickle

import numpy as np
import pytest
from cases import LAYERS
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import GRADCHECK, assert_close

import manualbp as mb

DTYPES = ("float32", "float64")
SMOOTH = ("Sigmoid", "Tanh", "SiLU", "GELU", "GELU tanh", "Softmax", "LogSoftmax")
KINKED = ("ReLU", "LeakyReLU", "ELU", "SELU", "Softplus steep")
LAYOUTS = {
    "Fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "inner": lambda a: np.pad(a, 1)[(slice(1, -1),) * a.ndim],
    "read-only": lambda a: _read_only(a.copy()),
}

each_case = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
same_padding = pytest.mark.filterwarnings("ignore:Using padding='same'")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _read_only(a):
    a.setflags(write=False)
    return a


def normal(rng, shape, dtype="float32"):
    return rng.standard_normal(shape).astype(dtype)


def step(layer, x, dy=None):
    """(y, dx); dy = 1 … where none is given."""
    y = layer(x)
    return y, layer.backward(np.linspace(-1, 1, y.size, dtype=y.dtype).reshape(y.shape) if dy is None else dy)


def snapshot(layer):
    return {p.name: (p.value.copy(), p.grad.copy()) for p in layer.parameters()}


def assert_same(one, other):
    """Two snapshots are equal to the bit."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def name_of(layer):
    return rf"^{type(layer).__name__}\("


# ---------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("backend", ["fast", "reference"])
@each_case
def test_gradcheck(case, backend, rng):
    with mb.backend(backend):
        check = mb.gradcheck(case.make(), normal(rng, case.shape), tolerance=GRADCHECK)
    assert check, check


@each_dtype
@each_case
def test_backends_agree(case, dtype, rng):
    """The compiled layer and the one in plain NumPy: outputs and all gradients."""
    fast = case.make().astype(dtype)
    reference = copy.deepcopy(fast)
    x = normal(rng, case.shape, dtype)
    results = step(fast, x)
    with mb.backend("reference"):
        expected = step(reference, x)
    for one, other in zip(results, expected, strict=True):
        assert_close(one, other, terms=8)
    for one, other in zip(fast.parameters(), reference.parameters(), strict=True):
        assert_close(one.grad, other.grad, terms=8)


def load(ours, theirs):
    """Give our layer the weights of PyTorch's, which have the same names and shapes."""
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})


def assert_equals_pytorch(torch, ours, theirs, x, dy, terms):
    """y, ∂L/∂x and every ∂L/∂θ."""
    given_ = torch.tensor(x, requires_grad=True)
    output = theirs(given_)
    output = output[0] if isinstance(output, tuple) else output
    output.backward(torch.tensor(dy))
    y, dx = step(ours, x, dy)
    assert y.dtype == dx.dtype == x.dtype
    assert_close(y, output.detach().numpy(), terms)
    assert_close(dx, given_.grad.numpy(), terms)
    expected = {name: parameter.grad.numpy() for name, parameter in theirs.named_parameters()}
    assert [p.name for p in ours.parameters()] == list(expected)
    for parameter in ours.parameters():
        assert_close(parameter.grad, expected[parameter.name], terms)


@same_padding
@each_dtype
@pytest.mark.parametrize("name", [name for name, case in LAYERS.items() if case.twin])
def test_equals_pytorch(torch, name, dtype, rng):
    case = LAYERS[name]
    theirs = case.twin(torch.nn).to(getattr(torch, dtype))
    ours = case.make().astype(dtype)
    load(ours, theirs)
    x = normal(rng, case.shape, dtype)
    assert_equals_pytorch(torch, ours, theirs, x, normal(rng, ours(x).shape, dtype), terms=8)


@st.composite
def networks(draw, activations):
    """(shape of x, our layers, PyTorch's as functions of ``torch.nn``): convolutions and pools, then matrices."""
    shape = tuple(draw(st.integers(low, 6)) for low in (1, 1, 3, 3))
    C, H, W = shape[1:]
    ours, twins = [], []

    def add(layer, twin):
        ours.append(layer)
        twins.append(twin)

    def activation():
        case = LAYERS[draw(st.sampled_from(activations))]
        add(case.make(), case.twin)

    for _ in range(draw(st.integers(0, 2))):
        kernel = draw(st.integers(1, min(3, H, W)))
        if draw(st.booleans()):
            window = C, draw(st.integers(1, 4)), kernel, draw(st.integers(1, 2)), draw(st.integers(0, 1))
            add(mb.Conv2d(*window), lambda nn, window=window: nn.Conv2d(*window))
            activation()
        elif activations is SMOOTH or draw(st.booleans()):
            add(mb.AvgPool2d(kernel), lambda nn, kernel=kernel: nn.AvgPool2d(kernel))
        else:
            add(mb.MaxPool2d(kernel), lambda nn, kernel=kernel: nn.MaxPool2d(kernel))
        _, C, H, W = mb.Sequential(*ours).eval()(np.zeros(shape, np.float32)).shape
    add(mb.Flatten(), lambda nn: nn.Flatten())
    features = C * H * W
    for _ in range(draw(st.integers(1, 3))):
        sizes = features, draw(st.integers(1, 9))
        add(mb.Linear(*sizes), lambda nn, sizes=sizes: nn.Linear(*sizes))
        activation()
        features = sizes[1]
    return shape, ours, twins


@each_dtype
@settings(deadline=None, max_examples=30)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_random_networks_equal_pytorch(torch, dtype, data, seed):
    """In float32 without kinks: beside one, the two may rightly differ, and in float32 that is not rare enough."""
    shape, layers, twins = data.draw(networks(SMOOTH + KINKED if dtype == "float64" else SMOOTH))
    torch.manual_seed(seed)
    theirs = torch.nn.Sequential(*(twin(torch.nn) for twin in twins)).to(getattr(torch, dtype))
    ours = mb.Sequential(*layers).train().astype(dtype)
    load(ours, theirs)
    rng = np.random.default_rng(seed)
    x = normal(rng, shape, dtype)
    assert_equals_pytorch(torch, ours, theirs, x, normal(rng, ours(x).shape, dtype), terms=64)


@each_case
def test_gradients_accumulate(case, rng):
    """Two steps leave the sum of what each of them gives alone; ``zero_grad`` starts again."""
    layer = case.make().astype("float64")
    apart = copy.deepcopy(layer)
    sums = [np.zeros_like(p.grad) for p in layer.parameters()]
    for _ in range(2):
        x = normal(rng, case.shape, "float64")
        step(layer, x)
        apart.zero_grad()
        step(apart, x)
        sums = [s + p.grad for s, p in zip(sums, apart.parameters(), strict=True)]
    for parameter, expected in zip(layer.parameters(), sums, strict=True):
        assert_close(parameter.grad, expected, terms=8)
    layer.zero_grad()
    assert not any(p.grad.any() for p in layer.parameters())


def _random(layer):
    return any(module.state for module in layer.modules())


# ---------------------------------------------------------------------- memory


@each_case
def test_arrays_the_user_holds_stay(case, rng):
    """Results, even if only a view of them is kept, survive every later step; so do x and dy."""
    layer = case.make()
    held = []
    for _ in range(3):
        x = normal(rng, case.shape)
        held.append((x, x.copy()))
        y = layer(x)
        dy = normal(rng, y.shape)
        held += [(y, y.copy()), (dy, dy.copy())]
        dx = layer.backward(dy)
        held.append((dx, dx.copy()))
        y, dx = step(layer, x)
        held += [(a[-1:], a[-1:].copy()) for a in (y, dx)]
        held += [(a.T, a.T.copy()) for a in step(layer, x)]
        del y, dx
    for array, content in held:
        np.testing.assert_array_equal(array, content)


@each_case
def test_two_forwards(case, rng):
    layer = case.make()
    first = layer(normal(rng, case.shape))
    content = first.copy()
    second = layer(normal(rng, case.shape))
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, content)


@each_case
def test_a_steady_step_uses_its_memory_again(case, rng):
    """Where nobody holds the results they come at the same address every time."""
    layer, x = case.make(), normal(rng, case.shape)
    dy = np.ones_like(layer(x))

    def addresses():
        return tuple(a.__array_interface__["data"][0] for a in step(layer, x, dy))

    addresses()
    assert len({addresses() for _ in range(5)}) == 1


@each_case
def test_a_result_that_was_given_another_form_is_no_memory_to_use_again(case, rng):
    """Whoever held a result may have changed its shape in place before he let it go."""
    layer, x = case.make(), normal(rng, case.shape)
    result = layer(x)
    shape = result.shape
    if result.base is None and result is not x:
        result.resize(result.size // 2, refcheck=False)
    del result
    layer.cache = None
    assert layer(x).shape == shape


@pytest.mark.parametrize("layout", LAYOUTS)
@each_case
def test_any_layout_works(case, layout, rng):
    """Views, Fortran order, read-only: the same bits come out, and x and dy are left alone."""
    plain = case.make()
    other = copy.deepcopy(plain)
    x = normal(rng, case.shape)
    plain(x.copy()), other(x.copy())  # what they remember of a plain x does not hold for the next one
    y = plain(x.copy())
    dy = normal(rng, y.shape)
    dx = plain.backward(dy.copy())
    laid_x, laid_dy = LAYOUTS[layout](x.copy()), LAYOUTS[layout](dy.copy())
    np.testing.assert_array_equal(other(laid_x), y)
    np.testing.assert_array_equal(other.backward(laid_dy), dx)
    np.testing.assert_array_equal(laid_x, x)
    np.testing.assert_array_equal(laid_dy, dy)
    assert_same(snapshot(plain), snapshot(other))


@each_case
def test_lists_become_arrays(case, rng):
    layer = case.make()
    other = copy.deepcopy(layer)
    x = normal(rng, case.shape)
    np.testing.assert_array_equal(layer(x.tolist()), other(x))


# ---------------------------------------------------------------------- the protocol


@each_case
def test_backward_needs_its_own_forward(case, rng):
    layer = case.make()
    dy = np.ones_like(copy.deepcopy(layer)(normal(rng, case.shape)))
    with pytest.raises(RuntimeError, match=name_of(layer) + ".*without a cached forward; each backward needs a forward"):
        layer.backward(dy)
    layer(normal(rng, case.shape))
    layer.backward(dy)
    before = snapshot(layer)
    with pytest.raises(RuntimeError, match=name_of(layer)):
        layer.backward(dy)
    assert_same(before, snapshot(layer))


@each_case
def test_evaluation_caches_nothing(case, rng):
    layer, x = case.make(), normal(rng, case.shape)
    trained = layer(x)
    assert layer.cache is not None
    assert layer.eval() is layer
    assert not layer.training
    assert all(module.cache is None for module in layer.modules())
    y = layer(x)
    assert all(module.cache is None for module in layer.modules())
    with pytest.raises(RuntimeError, match=name_of(layer) + r".*in evaluation mode nothing is cached, call train\(\) first"):
        layer.backward(np.ones_like(y))
    if not _random(layer):
        np.testing.assert_array_equal(y, trained)
    layer.train()
    step(layer, x)


@each_case
def test_copies_are_whole_and_independent(case, rng):
    """deepcopy and pickle, also in the middle of a step: the same numbers, other memory."""
    layer, x = case.make(), normal(rng, case.shape)
    step(layer, x)
    layer(x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        assert twin.cache is None
        assert_same(snapshot(layer), snapshot(twin))
        before = snapshot(layer)
        for parameter in twin.parameters():
            parameter.value[...] = 7
        step(twin, x)
        assert_same(before, snapshot(layer))
    one, other = (copy.deepcopy(layer) for _ in range(2))
    for a, b in zip(step(one, x), step(other, x), strict=True):
        np.testing.assert_array_equal(a, b)


@each_case
def test_astype(case, rng):
    """Another dtype in a copy, to and fro without loss; the original stays."""
    layer = case.make()
    step(layer, normal(rng, case.shape))
    before = snapshot(layer)
    double = layer.astype(np.float64)
    assert all(p.value.dtype == p.grad.dtype == np.float64 for p in double.parameters())
    assert_same(before, snapshot(double))
    assert_same(before, snapshot(double.astype("float32")))
    y, dx = step(double, normal(rng, case.shape, "float64"))
    assert y.dtype == dx.dtype == np.float64
    assert_same(before, snapshot(layer))
    with pytest.raises(TypeError, match="float32 or float64, got int32"):
        layer.astype(np.int32)


@each_case
def test_repr_and_parameters(case):
    layer = case.make()
    assert repr(layer).startswith(f"{type(layer).__name__}(")
    assert "\n" not in repr(layer)
    for name, value, grad in layer.parameters():
        assert name
        assert value.shape == grad.shape
        assert value.dtype == grad.dtype == np.float32
        assert not grad.any()


# ---------------------------------------------------------------------- bad input


def assert_refused(layer, x, kind):
    """The error names the layer; weights and gradients are as before, and the layer still works."""
    before = snapshot(layer)
    with pytest.raises(kind, match=name_of(layer)):
        layer(x)
    assert_same(before, snapshot(layer))


@pytest.mark.parametrize("dtype", ["int64", "bool", "object", "complex64", "float16", "U1", ">f4"])
@each_case
def test_wrong_dtype(case, dtype):
    assert_refused(case.make(), np.ones(case.shape).astype(dtype), TypeError)


@each_case
def test_precisions_are_not_mixed(case):
    layer = case.make()
    if layer.dtype is not None:
        assert_refused(layer, np.ones(case.shape), TypeError)
        assert_refused(layer.astype("float64"), np.ones(case.shape, np.float32), TypeError)


@each_case
def test_wrong_shape(case, rng):
    layer = case.make()
    for shape in (*case.wrong, (0, *case.shape[1:]), (*case.shape[:-1], 0)):
        assert_refused(layer, np.ones(shape, np.float32), ValueError)
    step(layer, normal(rng, case.shape))


@each_case
def test_a_steady_run_does_not_make_careless(case, rng):
    """After many steps of one form another form is looked at as carefully as at first."""
    layer, x = case.make(), normal(rng, case.shape)
    other = copy.deepcopy(layer)
    for _ in range(3):
        step(layer, x, np.ones_like(layer(x)))
    for shape in (*case.wrong, (0, *case.shape[1:])):
        assert_refused(layer, np.ones(shape, np.float32), ValueError)
    assert_refused(layer, x.astype(">f4"), TypeError)
    assert_refused(layer, np.ma.masked_array(x, x > 0), TypeError)
    if layer.dtype is None:
        assert layer(x.astype("float64")).dtype == np.float64
    else:
        assert_refused(layer.astype("float64"), x, TypeError)
    layer.eval(), other.eval()
    np.testing.assert_array_equal(layer(x), other(x))
    assert layer.cache is None


@each_case
def test_a_failed_forward_leaves_no_cache(case, rng):
    """backward after it is an error, not the gradient of the forward before."""
    layer = case.make()
    y = layer(normal(rng, case.shape))
    with pytest.raises(ValueError, match=name_of(layer)):
        layer(np.ones((0, *case.shape[1:]), np.float32))
    with pytest.raises(RuntimeError, match="without a cached forward"):
        layer.backward(np.ones_like(y))


@each_case
def test_masks_are_not_lost(case, rng):
    layer, x = case.make(), normal(rng, case.shape)
    assert_refused(layer, np.ma.masked_array(x, x > 0), TypeError)
    y = layer(x)
    with pytest.raises(TypeError, match="masked arrays"):
        layer.backward(np.ma.masked_array(np.ones_like(y), y > 0))


@pytest.mark.parametrize("x", [[[1, 2], [3]], [["a", "b"]], [[1j]], [None], "text", None, {}], ids=str)
@pytest.mark.parametrize("layer", [mb.Linear(2, 1), mb.ReLU()], ids=repr)
def test_what_is_no_array_of_numbers(layer, x):
    assert_refused(layer, x, TypeError)


@each_case
def test_wrong_gradient(case, rng):
    """A ∂L/∂y that does not fit y is refused, and the right one still finds the cache."""
    layer = case.make()
    y = layer(normal(rng, case.shape))
    before = snapshot(layer)
    for dy, kind in (
        (np.ones((*y.shape, 1), y.dtype), ValueError),
        (np.ones((y.shape[0] + 1, *y.shape[1:]), y.dtype), ValueError),
        (y.astype("float64"), TypeError),
        (y.astype("complex64"), TypeError),
        (y.astype("int32"), TypeError),
    ):
        with pytest.raises(kind, match=name_of(layer) + ".*∂L/∂y must have the"):
            layer.backward(dy)
    assert_same(before, snapshot(layer))
    layer.backward(np.ones_like(y))


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (mb.Linear(2, 3), ("in_features", "out_features")),
        (mb.Conv2d(2, 4, 3, groups=2), ("in_channels", "out_channels", "groups", "window", "padding")),
        (mb.MaxPool2d(2), ("window",)),
        (mb.LSTM(2, 3), ("input_size", "hidden_size", "num_layers", "directions")),
    ],
    ids=repr,
)
def test_sizes_cannot_part_from_their_weights(layer, names):
    for name in names:
        with pytest.raises(AttributeError, match=f"{name} is fixed, build another"):
            setattr(layer, name, 1)


@pytest.mark.parametrize("build", [mb.ReLU, mb.LeakyReLU, mb.ELU, mb.SELU, mb.SiLU, mb.Dropout])
def test_inplace_is_taken_and_never_done(build):
    x = np.linspace(-1, 1, 5, dtype=np.float32)
    before = x.copy()
    build(inplace=True)(x)
    assert np.array_equal(x, before)
