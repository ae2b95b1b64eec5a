"""Predict the test studies of one run, each as a mask on its CT's grid."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.inference import load_run, write_prediction
    from lesionbench.logs import logger
    from lesionbench.slices import load_stack

    predictor = load_run(Path(snakemake.input.weights).parent, snakemake.params.device)
    for path in snakemake.input.stacks:
        stack = load_stack(path)
        mask = Path(snakemake.output[0]) / f"{stack.study}.nii.gz"
        volume = write_prediction(predictor, stack, snakemake.params.threshold, mask)
        logger.info("%s: lesion of %.1f ml", stack.study, volume)
