"""Train a network of two numbers in this process and print the peak memory in bytes; what to train comes as JSON.

A separate process, because a peak counts all that its process ever held, and because it must import no more than
the workflow's script does.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

from torch import nn

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import Network
from lesionbench.training import learner
from lesionbench.training.loop import train
from lesionbench.training.recipe import Recipe


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
    learner.build_network = lambda *arguments: Network(nn.Conv2d(1, 1, 1), stride=16)
    wanted: dict[str, Any] = json.load(sys.stdin)
    data = learner.FoldData(wanted["train"], wanted["validation"], Preprocessing(**wanted["preprocessing"]))
    train(ModelEntry(**wanted["model"]), Recipe(**wanted["recipe"]), data, wanted["folder"])
    print(peak_memory())
