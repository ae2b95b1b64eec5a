"""Predict the studies of one subset with one run, on their CTs' grids, and write down how long each takes."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path
    from time import perf_counter

    import pandas as pd

    from lesionbench.data.frames import write_frame
    from lesionbench.data.manifest import read_manifest
    from lesionbench.data.slices import load_stack
    from lesionbench.logs import logger
    from lesionbench.progress import track
    from lesionbench.segmentation.inference import load_run, predict
    from lesionbench.segmentation.operating_point import find_point, write_lesion
    from lesionbench.segmentation.probabilities import SECONDS, probability_path, write_probability

    folder = Path(snakemake.output[0])
    params = snakemake.params
    point = find_point(params.point, snakemake.input.point)
    fast = params.precision == "bfloat16"  # which rounds in any case; else the bytes of whole slices are kept
    run = Path(snakemake.input.weights).parent
    predictor = load_run(run, params.device, params.mirroring, None, params.precision, fast)
    rows = []
    for path in track(read_manifest(snakemake.input.slices).values(), "study"):
        started = perf_counter()
        stack = load_stack(path)
        probability = predict(predictor, stack)
        if point:
            volume = write_lesion(probability, point, folder / f"{stack.study}.nii.gz")
            logger.info("%s: lesion of %.1f ml", stack.study, volume)
        rows.append((stack.study, round(perf_counter() - started, 4)))
        if params.probabilities:
            write_probability(probability, probability_path(folder, stack.study))
    write_frame(pd.DataFrame(rows, columns=["study", "seconds"]), folder / SECONDS)
