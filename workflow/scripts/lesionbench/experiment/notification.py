"""The command that tells people when Snakemake has ended.

Imported while Snakemake parses, so it needs nothing but the standard library.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

from lesionbench.errors import UserError
from lesionbench.models.programs import split_command
from lesionbench.words import counted

LIMIT_SECONDS = 60
LONGEST = 3500  # characters of a message; services for phones take 4,096 bytes


def check_command(command: str | list[str] | None) -> None:
    """Raise UserError where the command of `notify` cannot be split into words, or its program is not there."""
    if command is None:
        return
    try:
        words = split_command(command)
    except ValueError as error:
        raise UserError(f"notify: {command}: {error}. Close what is quoted.") from None
    if not words or not shutil.which(words[0]):
        raise UserError(
            f"notify: there is no program {words[0] if words else ''} to call. Correct the command: a path is relative "
            "to the working directory, a name is looked up in PATH. Or write:\n  notify: null"
        )


def describe_made(rules: Iterable[str]) -> str:
    """Return a sentence on the jobs that were done, given as the name of each one's rule; none where it is unknown."""
    numbers = Counter(rules)
    if not numbers:
        return "All is made."
    each = ", ".join(f"{number:,} {rule}" for rule, number in numbers.most_common())
    return f"{counted(numbers.total(), 'job')} done: {each}."


def notify(command: str | list[str], status: str, results: Path, message: str) -> None:
    """Run the user's command, without a shell, with a message on its standard input and in its environment.

    status: done or failed. What goes wrong, and a command that has not ended after LIMIT_SECONDS, is one warning.
    """
    text = f"Lesionbench: {status} in {results.absolute()}.\n\n{message}".replace("\0", "")
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    told = {"STATUS": status, "RESULTS": str(results.absolute()), "MESSAGE": text}
    environment = os.environ | {f"LESIONBENCH_{name}": value for name, value in told.items()}
    with TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                split_command(command), stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment,
                start_new_session=True,
            )  # fmt: skip
            process.communicate(f"{text}\n".encode(), LIMIT_SECONDS)
            problem = f"it ended with exit status {process.returncode}" if process.returncode else ""
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            problem = f"it had not ended after {LIMIT_SECONDS} s, and was killed"
        except (OSError, ValueError) as error:
            problem = str(error)
        if problem:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            print(f"notify: nobody was told: {': '.join([problem, *last])}.", file=sys.stderr)
