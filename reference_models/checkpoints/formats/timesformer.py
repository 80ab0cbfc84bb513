"""TimeSformer as its authors save it.

Source: facebookresearch/TimeSformer at a5ef29a.
"""

from reference_models.checkpoints.formats.format import GREY, Format

TIMESFORMER = Format(
    name="timesformer",
    source="facebookresearch/TimeSformer",
    architectures=("timesformer_b",),
    marks=r"^(model\.)?blocks\.0\.temporal_fc\.",
    normalisation=GREY,
    drops=((r"^(model\.)?head\.", "classifier"),),
    renames=((r"^model\.", ""),),
)
