"""summary and checkpoints: what a network is made of, and its way to disk and back."""

import numpy as np
import pytest

import manualbp as mb
from manualbp.checkpoint import load_weights, read_weights, save_weights


def test_summary_lists_shapes_parameters_and_caches():
    net = mb.Sequential(mb.Conv2d(1, 4, 3), mb.ReLU(), mb.Flatten(), mb.Linear(144, 10))
    lines = net.summary((2, 1, 8, 8)).splitlines()
    assert "0: Conv2d(1 → 4, 3×3)" in lines[2]
    assert "(2, 4, 6, 6)" in lines[2]
    assert lines[2].split()[-2:] == ["40", str(2 * 64 * 4)]
    assert lines[-1].split()[0] == "1,490"


def test_summary_guesses_the_input_of_linear_and_recurrent_networks():
    assert "(1, 3)" in mb.Sequential(mb.Linear(2, 3)).summary()
    assert "(1, 1, 3)" in mb.Sequential(mb.LSTM(2, 3)).summary()
    assert "give summary an input shape" in mb.Sequential(mb.Conv2d(1, 2, 3)).summary()


def test_summary_leaves_the_network_alone():
    net = mb.Sequential(mb.Linear(2, 3), mb.Dropout(0.5)).eval()
    counter = net[1].counter.copy()
    net.summary()
    assert not net.training
    assert net[0].cache is None
    assert np.array_equal(net[1].counter, counter)


def test_weights_to_disk_and_back(tmp_path):
    one, other = (mb.Sequential(mb.Linear(3, 4), mb.GRU(4, 5)) for _ in range(2))
    save_weights(one, tmp_path / "w.safetensors", {"note": "hello"})
    load_weights(other, tmp_path / "w.safetensors")
    assert all(np.array_equal(a.value, b.value) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert read_weights(tmp_path / "w.safetensors")[1] == {"note": "hello"}
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
    (tmp_path / "any").touch()
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_damaged_weights_change_nothing(tmp_path):
    net = mb.Linear(3, 4)
    save_weights(net, tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    before = net.state_dict()
    for damaged in (content[:-5], b"", b"nothing of the kind"):
        (tmp_path / "w.safetensors").write_bytes(damaged)
        with pytest.raises(ValueError, match="not a readable safetensors file"):
            load_weights(net, tmp_path / "w.safetensors")
    save_weights(mb.Linear(4, 3), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"weight: expected shape \(4, 3\), got \(3, 4\)"):
        load_weights(net, tmp_path / "w.safetensors")
    assert all(np.array_equal(before[name], value) for name, value in net.state_dict().items())
