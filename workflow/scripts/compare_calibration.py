"""Compare what the probabilities of the models are worth."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.data.frames import read_frame, write_frame
    from lesionbench.evaluation.calibration import calibration_curves, calibration_scores
    from lesionbench.evaluation.scores import collect_scores
    from lesionbench.evaluation.scoring import Scoring
    from lesionbench.report.calibration_table import calibration_table
    from lesionbench.report.tables import write_table

    inputs, params = snakemake.input, snakemake.params
    counts, lesions = (collect_scores(files, params.runs) for files in (inputs.counts, inputs.lesions))
    boxes = pd.concat(map(read_frame, inputs.boxes))
    scores = calibration_scores(counts, lesions, params.patients)
    table = calibration_table(scores, params.labels, boxes, Scoring(**params.scoring))
    write_table(table, snakemake.output.table)
    write_frame(calibration_curves(counts, lesions, params.patients), snakemake.output.curves)
