"""The command line as a whole: help, versions, wrong calls."""

import os
import subprocess
import sys

import pytest

from lesionbench import __version__
from lesionbench.cli import main


def help_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_tells_what_each_command_does_with_an_example(capsys):
    said = help_of(capsys)
    assert (
        "segment the lesions of one CT, or of many, and print their volume" in " ".join(said.split())
        and "--version" in said
    )
    example = "lesionbench segment scan.nii.gz mask.nii.gz --run results/models/unet/fold-0/seed-0"
    assert example in said and example in help_of(capsys, "segment")
    assert main([]) == 0 and capsys.readouterr().out == said


def test_a_shell_completes_commands_options_and_files(capsys):
    pytest.importorskip("shtab", reason="shtab (the extra `completion`) is not installed")
    with pytest.raises(SystemExit) as stopped:
        main(["--print-completion", "bash"])
    assert not stopped.value.code
    script = capsys.readouterr().out
    asked = "COMP_WORDS=(lesionbench {}); COMP_CWORD={}; _shtab_lesionbench; echo ${{COMPREPLY[@]}}"
    for words, found in ((["seg"], "segment"), (["segment", "--dicom"], "--dicom-seg")):
        line = asked.format(" ".join(words), len(words))
        done = subprocess.run(["bash", "-c", f"{script}\n{line}"], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [found]
    assert "_shtab_lesionbench_segment_pos_0_COMPGEN=_shtab_compgen_files" in script


def test_completion_without_shtab_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as stopped:
        main(["--print-completion", "bash"])
    assert stopped.value.code == 1 and "pip install shtab" in capsys.readouterr().err


def test_the_module_is_the_command():
    def run(*arguments):
        command = [sys.executable, "-m", "lesionbench", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    version, wrong = run("--version"), run("segmented")
    assert (version.returncode, version.stdout) == (0, f"lesionbench {__version__}\n")
    assert wrong.returncode == 2 and wrong.stderr.startswith("usage: lesionbench") and "segment" in wrong.stderr


def test_a_reader_that_has_read_enough_is_no_mistake():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "lesionbench"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_name_that_no_file_can_have_is_a_wrong_call(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["segment", "a" * 300, "mask.nii.gz", "--run", "run"])
    assert "no file can be called" in capsys.readouterr().err


def test_sigterm_leaves_nothing_half_written(tmp_path):
    code = (
        "import os, signal, sys\nfrom lesionbench import cli\nfrom lesionbench.files import atomic\n"
        "def command(options):\n"
        f"    with atomic({str(tmp_path / 'mask.nii.gz')!r}) as path:\n"
        "        path.touch()\n        os.kill(os.getpid(), signal.SIGTERM)\n        signal.pause()\n"
        "options = cli._parser().parse_args([])\noptions.command = command\n"
        "cli._parser = lambda: type('Parser', (), {'parse_args': lambda self, arguments: options})()\n"
        "sys.exit(cli.main([]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (143, "", [])
