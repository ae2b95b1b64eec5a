"""The command line: `lesionbench COMMAND`."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from lesionbench import __version__
from lesionbench.commands import checking, packing, preparing, segmenting, viewing, watching
from lesionbench.errors import UserError
from lesionbench.files import can_be_path
from lesionbench.logs import PROGRESS

COMMANDS = (
    preparing.add_init,
    preparing.add_phantom,
    preparing.add_unstack,
    checking.add_check,
    watching.add_status,
    segmenting.add_segment,
    viewing.add_view,
    packing.add_export_model,
    packing.add_export,
    packing.add_verify,
)
_ABOUT = (
    "Prepare data for the Lesionbench workflow, and use the models that it has trained, on chest CT. For research "
    "only, not for diagnosis."
)
_EXAMPLES = f"""examples:
  lesionbench init data/my-scans
  {checking.EXAMPLE}
  {segmenting.EXAMPLE}
  {viewing.EXAMPLE}

`lesionbench COMMAND --help` explains a command. Training and comparing are done by Snakemake:
  snakemake --cores 8
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0; 1 after a user's mistake; 2 after a wrong call; 130 after Ctrl-C.

    SIGTERM ends it with 143, as exceptions do: nothing half-written stays.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    for path in _paths(options):
        if not can_be_path(str(path)):
            parser.error(f"no file can be called {shorten(ascii(str(path)), 60, placeholder='…')}")
    if threading.current_thread() is not threading.main_thread():  # which alone may hear of signals
        return _run(options)
    previous = signal.signal(signal.SIGTERM, _leave)
    try:
        return _run(options)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _run(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger(PROGRESS).setLevel(logging.WARNING if sys.stderr.isatty() else logging.INFO)
    try:
        status = int(options.command(options) or 0)
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"lesionbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lesionbench: interrupted. What is finished stays; the same command makes the rest.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # who read what was printed, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        print(f"lesionbench: too little memory ({error}). Free some, or ask for more.", file=sys.stderr)
        return 1
    except OSError as error:  # what cannot be read is a UserError already
        written = getattr(options, options.written) or options.mask
        reason = f"{written} cannot be written ({error.strerror}: {error.filename})"
        print(f"lesionbench: {reason}. Choose a folder where you may write and that has room.", file=sys.stderr)
        return 1


def _paths(options: argparse.Namespace) -> Iterator[Path]:
    """Yield the paths that were given to a command."""
    for value in vars(options).values():
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Path))


def _leave(number: int, _: object) -> None:
    """End as an exception does, so that nothing half-written stays."""
    raise SystemExit(128 + number)


class _Completion(argparse.Action):
    """Prints what `shtab` makes of the parser, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, _: Any, shell: Any, option: str | None = None) -> None:
        try:
            import shtab
        except ImportError:
            parser.exit(1, f"lesionbench: {option} needs shtab. Run `pip install shtab`, and the same command again.\n")
        (commands,) = (action.choices for action in parser._actions if isinstance(action.choices, dict))
        for action in (action for command in commands.values() for action in command._actions):
            if action.type is Path:
                action.complete = shtab.FILE
        print(shtab.complete(parser, shell))
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("lesionbench", description=_ABOUT, epilog=_EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"lesionbench {__version__}")
    parser.add_argument(
        "--print-completion",
        action=_Completion,
        metavar="SHELL",
        choices=("bash", "zsh", "tcsh"),
        help="print what lets a shell complete commands, options and files: bash, zsh or tcsh",
    )
    parser.set_defaults(command=lambda options: parser.print_help())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return parser
