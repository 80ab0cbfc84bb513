"""Intervals, comparisons and ranks. NumPy only: the page computes with it."""
