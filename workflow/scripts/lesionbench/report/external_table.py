"""The table that sets external sets beside the data set that the models come from."""

import pandas as pd

from lesionbench.report.tables import Table, format_interval, format_number


def external_table(sets: pd.DataFrame) -> Table:
    """Return a row a model and set of `evaluation.transfer.compare_sets`."""
    shown = pd.DataFrame(
        {
            "Model": sets["label"],
            "Set": sets["set"],
            "Studies": sets["studies"].map(str),
            "Mean Dice": sets["mean_dice"].map(format_number),
            "95\u00a0% interval": list(map(format_interval, sets["low"], sets["high"])),
            "Change": [format_number(change, signed=True) for change in sets["change"]],
            "Change, 95\u00a0% interval": list(map(format_interval, sets["change_low"], sets["change_high"])),
        }
    )
    notes = (
        "Change: the mean on the external set less the mean on the test studies of the data set that the models were "
        "trained on. Its interval is Welch's, over patients, of these trained networks. An interval that leaves out "
        "zero shows that the sets differ for this model; it does not say why: the patients, the scanner or those who "
        "drew the lesions may differ.",
        "Each study counts once: the Dice of all networks of a model (folds and seeds) are averaged first.",
    )
    return Table("External sets", sets, shown, notes, text_columns=2)
