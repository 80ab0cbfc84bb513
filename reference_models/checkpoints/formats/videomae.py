"""VideoMAE as its authors save it, after pretraining and after finetuning.

Source: MCG-NJU/VideoMAE at 14ef8d8. The pretrained encoder ends in a LayerNorm over tokens, which mean pooling leaves
away, there as here; the LayerNorm after the pooling (`fc_norm`) is not in the file and starts as it is initialised.
"""

from reference_models.checkpoints.formats.format import IMAGENET, Format, Reason

PRETRAINING_DECODER: Reason = (r"^(decoder\.|encoder_to_decoder\.|mask_token$)", "decoder of pretraining")
NORM_OVER_TOKENS: Reason = (r"^(encoder\.norm|(videomae\.)?layernorm)\.", "norm over tokens, left away by mean pooling")
NO_FC_NORM: tuple[Reason, ...] = ((r"^fc_norm\.", "pretraining has no norm after pooling"),)

VIDEOMAE_PRETRAIN = Format(
    name="videomae-pretrain",
    source="MCG-NJU/VideoMAE, pretraining",
    architectures=("videomae_vit_b", "videomae_vit_s"),
    marks=r"^encoder\.blocks\.0\.attn\.q_bias$",
    normalisation=IMAGENET,
    drops=(PRETRAINING_DECODER, NORM_OVER_TOKENS),
    renames=((r"^encoder\.", ""),),
    fresh=NO_FC_NORM,
)
VIDEOMAE_FINETUNE = Format(
    name="videomae-finetune",
    source="MCG-NJU/VideoMAE, finetuning",
    architectures=("videomae_vit_b", "videomae_vit_s"),
    marks=r"^blocks\.0\.attn\.q_bias$",
    normalisation=IMAGENET,
    drops=((r"^head\.", "classifier"),),
)
