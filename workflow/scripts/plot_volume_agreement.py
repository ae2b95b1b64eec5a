"""Draw how the predicted lesion volumes agree with the reference, in the manner of Bland and Altman."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.scores import collect_scores, scores_by_study
    from lesionbench.report.score_charts import volume_agreement
    from lesionbench.report.style import save_figure

    scores = collect_scores(snakemake.input.metrics, snakemake.params.runs)
    labels = snakemake.params.labels
    reference = scores.groupby("study")["reference_ml"].first()
    predicted = scores_by_study(scores, list(labels), "predicted_ml")
    save_figure(volume_agreement(reference, predicted, labels), snakemake.output)
