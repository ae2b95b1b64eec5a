# Without `code`: the file is fixed by its revision and hash, so new code must neither fetch it nor retrain.
rule pretrained_weights:
    output:
        "<resources>/weights/{encoder}.safetensors",
    log:
        "<logs>/pretrained_weights/{encoder}.log",
    localrule: True
    conda:
        "../../envs/torch.yaml"
    message:
        "Fetching the ImageNet weights of {wildcards.encoder}"
    script:
        "../scripts/pretrained_weights.py"


# One job tries all networks, since most of its time is that of importing PyTorch; it fails for none of them.
# No training depends on it, not even by `ancient`: Snakemake does not look for changed parameters of a job whose input is
# due (`update_needrun` in snakemake.dag). The priority lets the trials come first; each training begins with one too.
rule try_models:
    input:
        ct=lambda wildcards: sources(experiment.annotated_scans),
    output:
        "<results>/checks/models.json",
    log:
        "<logs>/try_models.log",
    priority: 100
    localrule: True
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        models=experiment.trials(),
        seen=experiment.seen(),
        reading=experiment.reading(),
        content=lambda wildcards: experiment.contents(experiment.annotated_scans),
        code=experiment.trial_code(),
    message:
        "Trying the networks on slices of the sizes that they will get"
    script:
        "../scripts/try_models.py"


rule check_model:
    input:
        "<results>/checks/models.json",
    output:
        "<results>/checks/models/{model}.json",
    log:
        "<logs>/check_model/{model}.log",
    priority: 100
    localrule: True
    conda:
        "../../envs/imaging.yaml"
    params:
        code=code_digest("check_model"),
    message:
        "Checking {wildcards.model}"
    script:
        "../scripts/check_model.py"


rule train:
    input:
        train=slices_of("train"),
        validation=slices_of("validation"),
        stacks=stored_slices("train", "validation"),
        encoder_weights=lambda wildcards: given(experiment.encoder_weights(wildcards.model)),
    output:
        weights="<results>/models/{model}/fold-{fold}/seed-{seed}/weights.safetensors",
        history="<results>/models/{model}/fold-{fold}/seed-{seed}/history.csv",
        run="<results>/models/{model}/fold-{fold}/seed-{seed}/run.json",
    log:
        "<logs>/train/{model}/fold-{fold}/seed-{seed}.log",
    wildcard_constraints:
        model=one_of(experiment.networks),
    conda:
        "../../envs/torch.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=growing(16000),
        runtime=720,
    params:
        model=planned(experiment.network),
        training=planned(experiment.recipe),
        preprocessing=planned(experiment.model_preprocessing),
        intensity=lookup(within=settings, dpath="dataset/intensity"),
        code=planned(experiment.training_code),
        # Of a function that takes `threads` Snakemake keeps no record (`_is_deriving_function` in snakemake.rules), so
        # another value reruns nothing.
        log=lambda wildcards, threads: experiment.log(wildcards.model),
    message:
        "Training {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/train.py"
