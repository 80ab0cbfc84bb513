"""The judges, one a file.

A stage is a function from a `Case` (one encoder, one data set, test labels withheld) to a `StageOutput` (guesses, Gram
matrices, facts). It never sees a test label and computes no score: `bench.scoring` does.
"""
