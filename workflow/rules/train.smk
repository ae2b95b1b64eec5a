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


rule train:
    input:
        train="<results>/slices/fold-{fold}/train.csv",
        validation="<results>/slices/fold-{fold}/validation.csv",
        encoder_weights=planned(experiment.encoder_weights),
    output:
        weights="<results>/models/{model}/fold-{fold}/seed-{seed}/weights.safetensors",
        history="<results>/models/{model}/fold-{fold}/seed-{seed}/history.csv",
        run="<results>/models/{model}/fold-{fold}/seed-{seed}/run.json",
    log:
        "<logs>/train/{model}/fold-{fold}/seed-{seed}.log",
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
        preprocessing=lookup(within=settings, dpath="preprocessing"),
        code=planned(experiment.training_code),
    message:
        "Training {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/train.py"
