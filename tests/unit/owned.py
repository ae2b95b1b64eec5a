"""Networks of a user's own, in files."""

from lesionbench.models.entry import ModelEntry

HEADER = "import torch\nfrom torch import nn\nfrom torch.nn import functional\n\n\n"
# One that keeps the contract. Tests change a line of it.
CLASS = """class Net(nn.Module):
    def __init__(self, in_channels=1, classes=1, width=4):
        super().__init__()
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, image):
        features = self.first(image).relu()
        return self.last(features)
"""


def write_network(folder, old="", new="", code=CLASS, name="net.py"):
    """Write a file with one class, a piece of whose code is another; return the path."""
    assert old in code
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(HEADER + code.replace(old, new) if old else HEADER + code)
    return folder / name


def entry_of(path, **options):
    """The entry of the class Net in a file."""
    return ModelEntry(f"{path}:Net", options=options)
