"""Train and compare segmentation models of COVID-19 lesions on chest CT, from a folder of studies to the report."""

from snakemake.utils import min_version

min_version("9.10")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        targets(),
