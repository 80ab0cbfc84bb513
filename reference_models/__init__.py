"""Our own contestants: backbones, pretext tasks, checkpoints, recipes.

They are judged through the same door as anyone's, and never train on the noise they are graded with.
"""
