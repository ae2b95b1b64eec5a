"""Values on the command line mean what they mean in a file, jobs included."""

import csv

from checkout import copy_checkout


def test_numbers_in_mappings_and_the_home_folder_reach_the_jobs(repository, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    checkout = copy_checkout(repository, tmp_path / "checkout")
    split = home / "results" / "splits" / "fold-1.csv"
    typed = [
        "pathvars={results: ~/results, logs: $HOME/logs}",
        "training={max_epochs: 5, learning_rate: 1e-4, augmentation: true}",
        "split={protocol: cross-validation, folds: 5, seed: 1.0, file: null}",
        "seeds=[0, 1]",
    ]
    checkout.snakemake(str(split), "--config", *typed)
    with split.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5
    assert (home / "logs" / "split" / "fold-1.log").is_file()
    assert not (checkout.folder / "~").exists() and not (checkout.folder / "results").exists()
