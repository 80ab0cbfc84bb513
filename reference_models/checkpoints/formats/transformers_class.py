"""Repositories of the Hub whose config.json names one of four model types: their keys for the library's own classes.

Source: transformers 5.23.0 (conversion_mapping.py for VideoMAE; ViViT's blocks were renamed between versions 4 and 5).
Files of both versions are taken. VideoMAE's biases of queries and values, which the library lost for a while between
them, arrive from either.
"""

from reference_models.checkpoints.formats.format import GREY, IMAGENET, Format
from reference_models.checkpoints.formats.hugging_face import HALF

BY_MODEL_TYPE: dict[str, Format] = {
    "videomae": Format(
        name="hub-videomae",
        source="a repository of the Hub, VideoMAE of transformers",
        normalisation=IMAGENET,
        drops=(
            (r"^(decoder\.|encoder_to_decoder\.|mask_token$)", "decoder of pretraining"),
            (r"^classifier\.", "classifier"),
        ),
        renames=((r"^videomae\.", ""), (r"\.q_bias$", ".query.bias"), (r"\.v_bias$", ".value.bias")),
    ),
    "timesformer": Format(
        name="hub-timesformer",
        source="a repository of the Hub, TimeSformer of transformers",
        normalisation=GREY,
        drops=((r"^classifier\.", "classifier"),),
        renames=((r"^timesformer\.", ""),),
    ),
    "vivit": Format(
        name="hub-vivit",
        source="a repository of the Hub, ViViT of transformers",
        normalisation=HALF,
        drops=((r"^classifier\.", "classifier"), (r"^(vivit\.)?pooler\.", "pooler, which its own classifier skips")),
        renames=(
            (r"^vivit\.", ""),
            (r"^(encoder\.layer|layers)\.", "blocks."),
            (r"\.attention\.attention\.([qkv])(uery|ey|alue)\.", r".attention.\1_proj."),
            (r"\.attention\.output\.dense\.", ".attention.o_proj."),
            (r"\.intermediate\.dense\.", ".mlp.fc1."),
            (r"\.output\.dense\.", ".mlp.fc2."),
        ),
    ),
    "vjepa2": Format(
        name="hub-vjepa2",
        source="a repository of the Hub, V-JEPA 2 of transformers",
        normalisation=IMAGENET,
        drops=(
            (r"^(vjepa2\.)?predictor\.", "predictor of pretraining"),
            (r"^(pooler|classifier)\.", "classifier and its attentive pooler"),
        ),
        renames=((r"^vjepa2\.", ""),),
    ),
}
