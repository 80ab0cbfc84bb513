"""Labels: the anchor."""

from dataclasses import replace

from reference_models.pretext.supervised import Labels
from reference_models.recipes.recipe import Recipe
from reference_models.recipes.vcop import mini_vcop


def mini_supervised(architecture: str = "shufflenet_v1_x0_5") -> Recipe:
    """The anchor: labels of the same videos, as many clips and steps.

    Loss: log of the number of classes at the start.
    """
    order = mini_vcop()
    return replace(
        order,
        name="mini-supervised",
        title=f"Supervised ({architecture})",
        architecture=architecture,
        task=Labels(clips_per_video=3),
        landing=None,
    )
