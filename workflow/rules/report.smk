rule slice_table:
    input:
        studies="<results>/dataset/studies.csv",
        splits=collect("<results>/splits/fold-{fold}.csv", fold=experiment.folds),
    output:
        table("slices_by_subset"),
    log:
        "<logs>/slice_table.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        plane=lookup(within=settings, dpath="preprocessing/plane"),
        paper=bool(experiment.reference_results),
        shown=lookup(within=settings, dpath="figures/slices"),
        code=code_digest("slice_table"),
    message:
        "Counting slices by subset"
    script:
        "../scripts/slice_table.py"


rule findings_table:
    input:
        "<results>/dataset/findings.csv",
    output:
        table("findings"),
    log:
        "<logs>/findings_table.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        code=code_digest("findings_table"),
    message:
        "Listing what the check of the data set found"
    script:
        "../scripts/findings_table.py"


rule compare:
    input:
        **of_sweeps,
        metrics=of_runs("<results>/metrics/{model}/fold-{fold}/seed-{seed}/studies.csv"),
        slices=of_runs("<results>/metrics/{model}/fold-{fold}/seed-{seed}/slices.csv"),
        inventory="<results>/dataset/studies.csv",
    output:
        **comparison_tables(),
        data="<results>/comparison.json",
    log:
        "<logs>/compare.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        runs=[list(run) for run in experiment.runs],
        labels=experiment.labels,
        reference=experiment.reference_results,
        resamples=lookup(within=settings, dpath="evaluation/resamples"),
        scoring=experiment.scoring,
        patients=experiment.patients,
        test_share=experiment.test_share,
        sweeps=experiment.sweeps,
        sweep_trainings=[list(run) for run in experiment.sweep_trainings],
        studies=experiment.test_studies(),
        code=code_digest("compare"),
    message:
        "Comparing the models"
    script:
        "../scripts/compare.py"


rule compare_cost:
    input:
        records=of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/run.json", experiment.costed),
        predictions=of_runs("<results>/predictions/{model}/fold-{fold}/seed-{seed}", experiment.costed),
        checks=collect("<results>/checks/models/{model}.json", model=experiment.networks),
    output:
        table("cost"),
    log:
        "<logs>/compare_cost.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        runs=[list(run) for run in experiment.costed],
        labels=experiment.labels,
        rows=experiment.costs,
        code=code_digest("compare_cost"),
    message:
        "Comparing the cost of the models"
    script:
        "../scripts/compare_cost.py"


rule list_operating_points:
    input:
        figure_inputs["points"],
    output:
        table("operating_points"),
    log:
        "<logs>/list_operating_points.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        runs=[list(run) for run in experiment.choices],
        labels=experiment.choice_labels,
        code=code_digest("list_operating_points"),
    message:
        "Listing the operating points"
    script:
        "../scripts/list_operating_points.py"


rule plot:
    input:
        unpack(lambda wildcards: {kind: figure_inputs[kind] for kind in FIGURES[wildcards.figure].files}),
    output:
        figure(
            "{figure}",
            lambda wildcards: {"result": entry("Figure", wildcards.figure)},
            category=lambda wildcards: FIGURES[wildcards.figure].category,
            subcategory=lambda wildcards: FIGURES[wildcards.figure].section,
        ),
    log:
        "<logs>/plot/{figure}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        function=lambda wildcards: FIGURES[wildcards.figure].function,
        reads=lambda wildcards: list(FIGURES[wildcards.figure].reads),
        title=lambda wildcards: FIGURES[wildcards.figure].title,
        caption=lambda wildcards: caption(wildcards.figure, experiment),
        runs=lambda wildcards: first_of(figure_runs, wildcards.figure, []),
        best_epoch_by=lambda wildcards: (
            experiment.best_epoch_by if "histories" in FIGURES[wildcards.figure].reads else {}
        ),
        labels=lambda wildcards: first_of(figure_labels, wildcards.figure, {}),
        shown=lambda wildcards: shown_studies if "stacks" in FIGURES[wildcards.figure].reads else [],
        code=lambda wildcards: code_digest("plot", FIGURES[wildcards.figure].code),
    message:
        "Drawing {wildcards.figure}"
    script:
        "../scripts/plot.py"


rule plot_predictions:
    input:
        stacks=shown_stacks,
        predictions=lambda wildcards: masks_of(wildcards.model, *first_run),
        slices=first_scores,
    output:
        figure(
            "predictions/{model}",
            lambda wildcards: {"model": Verbatim(experiment.labels[wildcards.model])},
            category="Predictions",
        ),
    log:
        "<logs>/plot_predictions/{model}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        label=lambda wildcards: experiment.labels[wildcards.model],
        title=lambda wildcards: f"Predictions of {experiment.labels[wildcards.model]}",
        caption=lambda wildcards: predictions_caption(experiment, wildcards.model),
        shown=lambda wildcards: shown_studies,
        geometry=lookup(within=settings, dpath="dataset/geometry"),
        code=code_digest("plot_predictions"),
    message:
        "Drawing predictions of {wildcards.model}"
    script:
        "../scripts/plot_predictions.py"


rule plot_model_grid:
    input:
        stacks=shown_stacks,
        predictions=[masks_of(model, *first_run) for model in experiment.rows],
        slices=collect(first_scores, model=experiment.rows),
    output:
        first=figure("model_grid_1", {"model": "All models, 1 of 2"}, category="Predictions"),
        second=figure("model_grid_2", {"model": "All models, 2 of 2"}, category="Predictions"),
    log:
        "<logs>/plot_model_grid.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        labels=experiment.labels,
        caption=grid_caption(experiment),
        shown=lambda wildcards: shown_studies,
        slices=lookup(within=settings, dpath="figures/slices"),
        geometry=lookup(within=settings, dpath="dataset/geometry"),
        code=code_digest("plot_model_grid"),
    message:
        "Drawing predictions of all models"
    script:
        "../scripts/plot_model_grid.py"


rule view_study:
    input:
        stacks=shown_stacks,
        predictions=[masks_of(model, *first_run) for model in experiment.rows],
        slices=collect(first_scores, model=experiment.rows),
    output:
        report(
            "<results>/viewer/{rank}.html",
            caption="../report/viewer.rst",
            category="Predictions",
            labels={"model": "All models, {rank} study to scroll through"},
        ),
    log:
        "<logs>/view_study/{rank}.log",
    wildcard_constraints:
        rank="worst|median|best|only",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=10,
    params:
        labels=experiment.labels,
        studies=experiment.shown_studies(),
        shown=lambda wildcards: shown_studies,
        ranks=experiment.viewed,
        geometry=lookup(within=settings, dpath="dataset/geometry"),
        page=sha256(SCRIPTS.parent / "report" / "viewer"),
        code=code_digest("view_study"),
    message:
        "Writing a page of the {wildcards.rank} study"
    script:
        "../scripts/view_study.py"


rule summary:
    input:
        studies="<results>/dataset/studies.csv",
        splits=collect("<results>/splits/fold-{fold}.csv", fold=experiment.folds),
        slices="<results>/tables/slices_by_subset.csv",
        comparison="<results>/comparison.json",
        records=of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/run.json", experiment.trainings),
        weights=of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/weights.safetensors", experiment.trainings),
        methods=of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/run.json", experiment.method_runs),
    output:
        page=report(
            "<results>/summary.html",
            caption="../report/summary.rst",
            category=AT_A_GLANCE,
            labels={"result": "1. Summary"},
        ),
        config="<results>/config.json",
        checklist=table("checklist"),
    log:
        "<logs>/summary.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        config=experiment.used_settings,
        reference=experiment.reference_results,
        sweeps=experiment.sweeps,
        labels=experiment.labels,
        all_labels=experiment.all_labels,
        data=experiment.dataset_label,
        elsewhere=experiment.elsewhere,
        trainings=[list(run) for run in experiment.trainings],
        template=sha256(SCRIPTS.parent / "report" / "summary.html.jinja"),
        code=code_digest("summary"),
    message:
        "Writing the summary"
    script:
        "../scripts/summary.py"
