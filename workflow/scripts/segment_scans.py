"""Segment the scans of a part with a model."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.frames import read_frame, write_frame
    from lesionbench.data.reading import Reading
    from lesionbench.segmentation.batch import Ensemble
    from lesionbench.segmentation.inference import load_run
    from lesionbench.segmentation.operating_point import find_point
    from lesionbench.segmentation.part import segment_part

    inputs, params, table = snakemake.input, snakemake.params, Path(snakemake.output[0])
    runs = [Path(weights).parent for weights in inputs.weights]
    predictors = [
        load_run(run, device, mirroring, code=None, precision=precision)
        for run, (mirroring, precision, device) in zip(runs, params.networks, strict=True)
    ]
    ensemble = Ensemble(runs, predictors, find_point(params.point, inputs.point))
    basis = f"{params.code} {[decided for *decided, _ in params.networks]}"
    scans, lungs = read_frame(inputs.lungs), Path(inputs.lungs).parent
    found = segment_part(scans, lungs, ensemble, Reading(**params.reading), basis, table.parent)
    write_frame(found, table)
