"""Checkpoints: a folder with `model.safetensors`, `config.json` and a model card, `README.md`.

Weights, not programs: nothing in a checkpoint is executed. `save` writes one whole or not at all; `load` takes one whole
or says in a sentence what is wrong with it.
"""
