"""Digits, IDX files and archives: what they hold, and what a damaged one says."""

import gzip
import struct

import numpy as np
import pytest

from manualbp import data
from manualbp.data import dataset


def idx(array, kind=8, shape=None):
    shape = array.shape if shape is None else shape
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


def mnist(n=6, size=28, classes=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, size, size), np.uint8), (np.arange(n) % classes).astype(np.uint8)


def write_mnist(folder, zipped=False):
    for part, name in (("train", "train"), ("test", "t10k")):
        x, y = mnist(seed=len(part))
        for content, suffix in ((idx(x), "images-idx3-ubyte"), (idx(y), "labels-idx1-ubyte")):
            path = folder / f"{name}-{suffix}{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)


def test_digits_are_the_1797_of_the_uci_set():
    digits = data.digits()
    assert digits.x_train.shape == (1438, 1, 8, 8)
    assert digits.x_test.shape == (359, 1, 8, 8)
    assert digits.classes == 10
    assert np.bincount(np.concatenate([digits.y_train, digits.y_test])).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    assert digits.x_train.dtype == np.float32
    assert digits.x_train.min() == 0
    assert digits.x_train.max() == 1


def test_the_split_depends_on_the_seed_alone():
    assert np.array_equal(data.digits(seed=1).y_test, data.digits(seed=1).y_test)
    assert not np.array_equal(data.digits(seed=1).y_test, data.digits(seed=2).y_test)


def test_enlarge_draws_every_pixel_as_a_square():
    large = data.enlarge(np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8))
    assert large.shape == (1, 1, 28, 28)
    assert (large[0, 0, 2:5, 5:8] == 1).all()
    assert (large[0, 0, :2] == 0).all()


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_files(tmp_path, zipped):
    write_mnist(tmp_path, zipped)
    got = data.load(tmp_path)
    x, y = mnist(seed=len("train"))
    assert np.array_equal(got.x_train, x[:, None] / np.float32(255))
    assert np.array_equal(got.y_train, y)
    assert got.y_train.dtype == np.int64


@pytest.mark.parametrize(("kind", "dtype"), [(8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_idx_types(tmp_path, kind, dtype):
    array = np.arange(-3 if kind != 8 else 0, 9).astype(dtype)
    (tmp_path / "a").write_bytes(idx(array, kind))
    got = data.read_idx(tmp_path / "a")
    assert np.array_equal(got, array)
    assert got.dtype.isnative


X, Y = mnist()
DAMAGED = {
    "empty": (b"", "not an IDX file"),
    "text": (b"<html>not found</html>", "not an IDX file"),
    "unknown type": (b"\0\0\x07\x01" + bytes(8), "not an IDX file"),
    "header cut short": (idx(X)[:9], "cut short"),
    "truncated": (idx(X)[:-1], r"promises \(6, 28, 28\), 4704 bytes, but 4703"),
    "too long": (idx(X) + b"\0", "but 4705"),
    "lying sizes": (idx(X, shape=(2**31, 2**31, 28)), "promises"),
    "more axes than an array can have": (b"\0\0\x08\xff" + bytes(4 * 255), "not an IDX file"),
    "damaged gzip": (gzip.compress(idx(X))[:-30], "damaged gzip"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_idx_file_says_what_is_wrong(tmp_path, name):
    content, message = DAMAGED[name]
    write_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=rf"train-images-idx3-ubyte: .*{message}"):
        data.load(tmp_path)


def test_files_that_do_not_go_together(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(Y[:5]))
    with pytest.raises(ValueError, match="y_train must hold a label for each of 6 images"):
        data.load(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match="there is no train-labels-idx1-ubyte"):
        data.load(tmp_path)


def archive(path, **changes):
    arrays = {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, **changes}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_npz(tmp_path):
    got = data.load(archive(tmp_path / "a.npz", x_test=(X / 255).astype(np.float32)))
    assert np.allclose(got.x_train, got.x_test)
    assert dataset.Dataset(*got).classes == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "has no y_test"),
        ({"x_train": X[0]}, r"x_train must be \(N, H, W\)"),
        ({"x_train": X.astype(np.float32)}, "from 0 to 1"),
        ({"x_train": X.astype(complex)}, "must be numbers"),
        ({"y_train": Y.astype(float)}, "classes as integers"),
        ({"y_train": Y.astype(int) - 1}, "from -1"),
        ({"y_test": Y.astype(np.uint64) + np.uint64(2**63)}, "classes below 65,536"),
        ({"x_test": X[:, :27]}, "to test with"),
        ({"x_train": X.astype(object)}, "not an .npz"),
    ],
)
def test_a_bad_npz_says_what_is_wrong(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        data.load(archive(tmp_path / "a.npz", **changes))


def test_not_an_archive(tmp_path):
    (tmp_path / "a.npz").write_text("nothing")
    with pytest.raises(ValueError, match=r"a\.npz is neither a folder nor an \.npz"):
        data.load(tmp_path / "a.npz")
    archive(tmp_path / "c.npz")
    (tmp_path / "a.npz").write_bytes((tmp_path / "c.npz").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"a\.npz is neither"):
        data.load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="no such file or folder"):
        data.load(tmp_path / "b.npz")
