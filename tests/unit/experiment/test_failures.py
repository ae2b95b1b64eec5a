"""What is said last when jobs have failed."""

from types import SimpleNamespace

from lesionbench.experiment.failures import LONGEST, Failure, describe_failures

LINE = "2026-01-02 03:04:05 {} {}\n"


def job(tmp_path, name, text):
    path = tmp_path / f"{name}.log"
    path.write_text(text)
    return Failure(f"Training {name}", path)


def test_one_failure_is_a_paragraph_with_its_log(tmp_path):
    log = LINE.format("INFO", "epoch 1") + LINE.format("ERROR", "study_0001: no mask.\nAdd it.")
    failure = job(tmp_path, "unet", log)
    assert describe_failures([failure]) == (
        f"Training unet failed: study_0001: no mask.\nAdd it.\n  Log: {tmp_path / 'unet.log'}"
    )
    assert describe_failures([]) == ""


def test_jobs_with_one_reason_are_told_together(tmp_path):
    failures = [job(tmp_path, f"unet-{number:02}", LINE.format("ERROR", "no GPU.")) for number in range(25)]
    other = job(tmp_path, "vgg", LINE.format("ERROR", "no weights."))
    said = describe_failures([*failures, other])
    assert said.startswith("26 jobs failed.\n\nTraining unet-00 failed: no GPU.\n  Log: ")
    assert "The same ended 24 other jobs:\n  Training unet-01\n" in said and "\n  … and 4 more\n" in said
    assert said.count("no GPU.") == 1 and "Training vgg failed: no weights." in said


def test_of_a_traceback_the_last_line_is_told(tmp_path):
    trace = "Traceback (most recent call last):\n  File …\nMemoryError: too much"
    assert "failed: MemoryError: too much\n" in describe_failures([job(tmp_path, "a", LINE.format("ERROR", trace))])


def test_a_job_without_a_message_is_said_to_be_killed(tmp_path):
    started = job(tmp_path, "a", LINE.format("INFO", "epoch 1"))
    absent = Failure("Training b", tmp_path / "none.log")
    stopped = job(tmp_path, "c", LINE.format("WARNING", "Stopped by SIGTERM."))
    assert describe_failures([started, absent, Failure("d", None)]).count("it ended without a message") == 1
    assert "failed: Stopped by SIGTERM." in describe_failures([stopped])


def test_a_long_message_is_cut(tmp_path):
    said = describe_failures([job(tmp_path, "a", LINE.format("ERROR", "x" * 10_000_000))])
    assert len(said) < LONGEST + 200 and "x …" in said


def test_a_log_that_is_empty_on_a_full_disk_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=4096))
    said = describe_failures([job(tmp_path, "a", "")])
    assert "failed: No space left on device" in said and "4,096 bytes" in said and "Make room" in said
