"""Predict the test studies of one run, each as a mask on its CT's grid, and write down how long each takes."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path
    from time import perf_counter

    import pandas as pd

    from lesionbench.data.frames import write_frame
    from lesionbench.data.manifest import read_manifest
    from lesionbench.data.slices import load_stack
    from lesionbench.logs import logger
    from lesionbench.segmentation.inference import SECONDS, load_run, write_prediction

    folder = Path(snakemake.output[0])
    params = snakemake.params
    predictor = load_run(Path(snakemake.input.weights).parent, params.device, params.mirroring, code=None)
    rows = []
    for path in read_manifest(snakemake.input.test).values():
        started = perf_counter()
        stack = load_stack(path)
        volume = write_prediction(predictor, stack, params.threshold, folder / f"{stack.study}.nii.gz")
        rows.append((stack.study, round(perf_counter() - started, 4)))
        logger.info("%s: lesion of %.1f ml", stack.study, volume)
    write_frame(pd.DataFrame(rows, columns=["study", "seconds"]), folder / SECONDS)
