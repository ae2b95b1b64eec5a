"""Train a network of two numbers in this process and print the peak memory in bytes; what to train comes as JSON.

A separate process, because a peak counts all that its process ever held, and because it must import no more than
the workflow's script does.
"""

import json
import sys
from typing import Any

from torch import nn

from benchmarks.measure import peak_memory
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import Network
from lesionbench.training import learner
from lesionbench.training.loop import train
from lesionbench.training.recipe import Recipe

if __name__ == "__main__":
    learner.build_network = lambda *arguments: Network(nn.Conv2d(1, 1, 1), stride=16)
    wanted: dict[str, Any] = json.load(sys.stdin)
    data = learner.FoldData(wanted["train"], wanted["validation"], Preprocessing(**wanted["preprocessing"]))
    train(ModelEntry(**wanted["model"]), Recipe(**wanted["recipe"]), data, wanted["folder"])
    print(peak_memory())
