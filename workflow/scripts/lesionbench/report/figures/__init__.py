"""The figures: functions that return one, found by the names in `report.catalogue`."""
