rule run_method:
    input:
        ct=lambda wildcards: sources(experiment.handed_scans(wildcards.fold)),
        masks=lambda wildcards: sources(experiment.handed_masks(wildcards.fold)),
    output:
        test=directory("<results>/predictions/{model}/fold-{fold}/seed-{seed}"),
        validation=directory("<results>/validation/{model}/fold-{fold}/seed-{seed}"),
        external=[
            directory(f"<results>/external/{name}/predictions/{{model}}/fold-{{fold}}/seed-{{seed}}")
            for name in experiment.external
        ],
        run="<results>/models/{model}/fold-{fold}/seed-{seed}/run.json",
    log:
        "<logs>/run_method/{model}/fold-{fold}/seed-{seed}.log",
    wildcard_constraints:
        model=one_of(experiment.methods),
    conda:
        "../../envs/torch.yaml"
    threads: lambda wildcards: experiment.methods[wildcards.model].program.threads
    resources:
        gpu=lambda wildcards: int(experiment.methods[wildcards.model].program.gpu),
        mem_mb=lambda wildcards, attempt: attempt * experiment.methods[wildcards.model].program.memory_mb,
        runtime=lambda wildcards: experiment.methods[wildcards.model].program.minutes,
    params:
        program=lambda wildcards: experiment.methods[wildcards.model].called,
        program_code=lambda wildcards: experiment.methods[wildcards.model].code,
        options=lambda wildcards: experiment.methods[wildcards.model].options,
        device=lambda wildcards: experiment.methods[wildcards.model].device,
        probabilities=planned(experiment.keeps_probabilities),
        studies=planned(experiment.handed_studies),
        content=planned(experiment.handed_content),
        external=[f"external/{name}" for name in experiment.external],
        code=code_digest("run_method"),
    message:
        "Running {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/run_method.py"
