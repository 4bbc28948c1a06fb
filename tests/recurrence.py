"""What the tests of RNN, LSTM and GRU share: the comparison with PyTorch where states go in and come out."""

import numpy as np
from tolerances import assert_close


def assert_states_equal_pytorch(torch, ours, theirs, T=4, N=3):
    """Initial and final states, their gradients, and every parameter's gradient, in float64."""
    rng = np.random.default_rng(0)
    several = len(ours.state_names) > 1
    states = [rng.standard_normal((ours.num_layers * ours.directions, N, ours.hidden_size)) for _ in ours.state_names]
    dstates = [rng.standard_normal(s.shape) for s in states]
    x = rng.standard_normal((N, T, ours.input_size) if ours.batch_first else (T, N, ours.input_size))
    theirs = theirs.to(torch.float64)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())

    leaves = [torch.tensor(a, requires_grad=True) for a in (x, *states)]
    output, final = theirs(leaves[0], tuple(leaves[1:]) if several else leaves[1])
    final = final if several else (final,)
    y = ours(x, tuple(states) if several else states[0])
    dy = rng.standard_normal(y.shape)
    torch.autograd.backward([output, *final], [torch.tensor(a) for a in (dy, *dstates)])
    dx = ours.backward(dy, tuple(dstates) if several else dstates[0])

    assert_close(y, output.detach().numpy(), terms=8)
    assert_close(dx, leaves[0].grad.numpy(), terms=8)
    for name, end, leaf in zip(ours.state_names, final, leaves[1:], strict=True):
        assert_close(getattr(ours, f"{name}_n"), end.detach().numpy(), terms=8)
        assert_close(getattr(ours, f"d{name}0"), leaf.grad.numpy(), terms=8)
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(own.grad, other.grad.numpy(), terms=8)
