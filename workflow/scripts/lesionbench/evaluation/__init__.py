"""Scores of masks, and what a comparison of them can show."""
