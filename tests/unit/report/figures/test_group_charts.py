"""Charts of groups and orders show each mean, each number of studies and each rank, legibly."""

import pytest

from drawn import MANY, SWEPT, assert_legible, texts
from lesionbench.evaluation.rankings import rank_correlation, rankings
from lesionbench.evaluation.subgroups import subgroup_means
from lesionbench.report.figures.group_charts import dice_by_subgroup, rank_agreement
from scored import INVENTORY, LABELS, compared


@pytest.mark.parametrize("labels", [{"unet": "U-Net"}, LABELS, MANY], ids=len)
@pytest.mark.parametrize("studies", [2, 10])
def test_groups_are_legible_for_any_number_of_models_and_studies(labels, studies):
    assert_legible(dice_by_subgroup(compared(labels, studies), INVENTORY))


@pytest.mark.parametrize("labels", [LABELS, MANY], ids=len)
def test_orders_are_legible_for_any_number_of_models(labels):
    assert_legible(rank_agreement(compared(labels)))


def test_rows_whose_labels_differ_at_their_ends_are_told_apart():
    comparison = compared(SWEPT)
    for figure in (rank_agreement(comparison), dice_by_subgroup(comparison, INVENTORY)):
        assert_legible(figure)
        shown = [" ".join(item.get_text().split()) for item, _ in texts(figure)]
        assert set(SWEPT.values()) <= set(shown)


def test_each_group_shows_its_studies_their_number_and_the_mean_of_each_model():
    comparison = compared()
    means = subgroup_means(comparison, INVENTORY)
    panels = dice_by_subgroup(comparison, INVENTORY).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["Lesion volume", "Category", "Slice spacing"]
    for axes in panels:
        rows = means[means["by"] == axes.get_title(loc="left")]
        expected = [
            f"{group}\n(n = {rows.loc[rows['group'] == group, 'studies'].iloc[0]})" for group in rows["group"].unique()
        ]
        assert [label.get_text() for label in axes.get_yticklabels()] == expected
        large = {line.get_label(): line.get_xdata() for line in axes.lines if line.get_markersize() > 3}
        for label, drawn in large.items():
            assert list(drawn) == pytest.approx(rows.loc[rows["label"] == label, "dice"].tolist())
        assert sum(len(line.get_xdata()) for line in axes.lines if line.get_markersize() < 3) == 10 * len(LABELS)


def test_ranks_and_their_correlation_are_written():
    comparison = compared(MANY)
    upper, lower = rank_agreement(comparison).axes
    ranks = rankings(comparison)
    assert [item.get_text() for item in lower.texts] == [f"{rank:g}" for rank in ranks.to_numpy().flat]
    tau = rank_correlation(ranks).stack().dropna()
    assert [item.get_text() for item in upper.texts] == [f"{value:.2f}".replace("-", "−") for value in tau]
