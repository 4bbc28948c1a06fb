"""Many small networks: XOR from a thousand seeds, each recorded and trained to the end, side by side on all cores.

``python -m bench.many`` prints one line of JSON: seconds of each turn, and the share of networks that learned it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

NETWORKS, EPOCHS, LEARNED = 1000, 1000, 0.001  # the loss of a network that has learned XOR


def live(turns: int) -> dict[str, Any]:
    import manualbp as mb

    from .works import xor

    (x,), (y,) = xor().data()

    def jobs(count: int) -> list[mb.Job]:
        listed = []
        for seed in range(count):
            mb.manual_seed(seed)
            net = mb.Sequential(mb.Linear(2, 10), mb.ReLU(), mb.Linear(10, 1))
            optimizer = mb.SGD(net.parameters(), lr=0.1)
            listed.append(mb.Job(net, x, y, loss=mb.MSELoss(), optimizer=optimizer, epochs=EPOCHS, shuffle=False))
        return listed

    mb.fit_many(jobs(2), progress=False)  # kernels are loaded
    seconds, learned = [], 0
    for _ in range(turns):
        ready = jobs(NETWORKS)
        start = time.perf_counter()
        histories = mb.fit_many(ready, progress=False)
        seconds.append(time.perf_counter() - start)
        learned = sum(history["loss"][-1] < LEARNED for history in histories)
    return {"seconds": seconds, "learned": learned / NETWORKS}


def measure(environment: dict[str, str], turns: int) -> dict[str, Any]:
    """What ``live`` says in a process of its own."""
    command = [sys.executable, "-m", "bench.many", str(turns)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    print(json.dumps(live(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
