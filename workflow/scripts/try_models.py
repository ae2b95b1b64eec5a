"""Try all networks on slices of the sizes that they will get, before anything is trained."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.preprocessing import Preprocessing
    from lesionbench.data.reading import Reading
    from lesionbench.models.entry import ModelEntry
    from lesionbench.models.trial import Trial, read_grids, slice_sizes, write_trials

    params = snakemake.params
    trials = {
        model: Trial(**(settings | {"entry": ModelEntry(**settings["entry"])}))
        for model, settings in params.models.items()
    }
    grids = read_grids(snakemake.input.ct, Reading(**params.reading))
    sizes = {model: slice_sizes(grids, Preprocessing(**seen)) for model, seen in params.seen.items()}
    write_trials(trials, sizes, snakemake.output[0])
