if settings["dataset"]["phantom"]:

    rule phantom:
        output:
            experiment.scans,
            experiment.masks,
            registry=str(experiment.registry),
        log:
            "<logs>/phantom.log",
        conda:
            "../../envs/imaging.yaml"
        resources:
            mem_mb=growing(1500),
            runtime=10,
        params:
            phantom=lookup(within=settings, dpath="dataset/phantom"),
            code=code_digest("phantom"),
        message:
            "Synthesising a data set"
        script:
            "../scripts/phantom.py"


rule inventory:
    input:
        ct=lambda wildcards: sources(experiment.scans),
        masks=lambda wildcards: sources(experiment.masks),
        registry=given(str(experiment.registry)) if experiment.registry else [],
    output:
        studies="<results>/dataset/studies.csv",
        classes="<results>/dataset/classes.csv",
        findings="<results>/dataset/findings.csv",
        fingerprints="<results>/dataset/fingerprints.npz",
    log:
        "<logs>/inventory.log",
    # First, because its errors stop the workflow. No rule waits for it: in a run that takes the inventory again,
    # Snakemake would not look for changes in what follows from it, if that took it as `ancient`.
    priority: 100
    conda:
        "../../envs/imaging.yaml"
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        root=lambda wildcards: experiment.settings["dataset"]["root"],
        studies=experiment.listing,
        categories=experiment.categories,
        reading=experiment.reading(),
        content=lambda wildcards: experiment.content(),
        code=code_digest("inventory"),
    message:
        "Checking the data set and taking its inventory"
    script:
        "../scripts/inventory.py"


rule split:
    output:
        "<results>/splits/fold-{fold}.csv",
    log:
        "<logs>/split/fold-{fold}.log",
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        subsets=planned(experiment.subsets),
        code=code_digest("split"),
    message:
        "Splitting the studies: fold {wildcards.fold}"
    script:
        "../scripts/split.py"


rule preprocess:
    input:
        ct=lambda wildcards: sources(experiment.ct(wildcards.study)),
        mask=lambda wildcards: sources(experiment.mask(wildcards.study)),
    output:
        "<results>/slices/{cut}/{study}.npz",
    log:
        "<logs>/preprocess/{cut}/{study}.log",
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        reading=planned(experiment.study_reading),
        content=planned(experiment.content),
        plane=planned(experiment.plane),
        hu_window=planned(experiment.hu_window),
        code=code_digest("preprocess"),
    message:
        "Cutting {wildcards.study} into slices: {wildcards.cut}"
    script:
        "../scripts/preprocess.py"


rule gather:
    input:
        planned(stacks_of),
    output:
        "<results>/slices/{cut}/fold-{fold}/{subset}.csv",
    log:
        "<logs>/gather/{cut}/fold-{fold}/{subset}.log",
    localrule: True
    conda:
        "../../envs/imaging.yaml"
    params:
        studies=planned(experiment.subset),
        code=code_digest("gather"),
    message:
        "Listing the slices of fold {wildcards.fold}: {wildcards.subset}"
    script:
        "../scripts/gather.py"
