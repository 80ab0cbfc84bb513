"""Intervals, comparisons, ranks, verdicts and CKA maps. NumPy and SciPy only: the page computes with it."""
