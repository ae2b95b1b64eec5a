"""Fetch the ImageNet weights of one encoder."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.models.weights import fetch_encoder_weights

    fetch_encoder_weights(snakemake.wildcards.encoder, snakemake.output[0])
