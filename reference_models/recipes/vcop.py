"""Clip order prediction."""

from reference_models.pretext.vcop import ClipOrder
from reference_models.recipes.recipe import MINI_CLIP, Recipe


def mini_vcop() -> Recipe:
    """Clip order prediction, the demo's model.

    Loss: log(6) = 1.79 at the start.
    """
    return Recipe(
        name="mini-vcop",
        title="Clip order (mini)",
        architecture="shufflenet_v1_x0_5",
        task=ClipOrder(num_clips=3, gap=6, dropout=0.0),
        videos="motion",
        clip=MINI_CLIP,
        batch_size=8,
        steps=200,
        learning_rate=3e-3,
        weight_decay=0.05,
        head_rate=0.1,
        warm_up=0.08,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
    )
