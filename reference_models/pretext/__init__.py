"""What a network is asked while it is pretrained, one task a file.

A task keeps the contract of `reference_models.pretrain.Task`: which frames make the clips of a video, the question made of
them, the head that answers it, and the loss. Settings are a frozen dataclass with the paper's values as defaults.
"""
