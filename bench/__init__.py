"""One encoder in, scores out.

`bench.run.evaluate(encoder, suite, dataset, ...)` judges anything that keeps the contract of `bench.encoder`,
and never asks who made it. The members are imported by name; nothing heavy is imported here.
"""
