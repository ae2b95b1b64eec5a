"""The commands of the command line: what each takes, and what it prints."""

import argparse
from typing import TypeAlias

# What `add_subparsers` returns: each command adds itself to it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
