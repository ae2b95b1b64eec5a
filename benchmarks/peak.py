"""Train a network of two numbers in this process and print the peak memory in bytes; `train`'s arguments come as JSON.

A process of its own, because the peak is all that a process ever held, and because it has to import no more than the
workflow's script does.
"""

import json
import resource
import sys
from pathlib import Path

from torch import nn

import lesionbench.training.loop


def peak_memory() -> int:
    """Return the most memory that this process has held, in bytes.

    On Linux not by `getrusage`: its figure starts from that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(fields["VmHWM"].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    lesionbench.training.loop.build_model = lambda model, weights: nn.Conv2d(1, 1, 1)
    lesionbench.training.loop.train(**json.load(sys.stdin))
    print(peak_memory())
