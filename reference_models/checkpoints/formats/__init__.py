"""The checkpoint formats that people have, in the order in which they are tried."""

from reference_models.backbones import BACKBONES
from reference_models.checkpoints.formats.ctp import CTP
from reference_models.checkpoints.formats.efficient import EFFICIENT, EFFICIENT_SHUFFLENET
from reference_models.checkpoints.formats.format import IMAGENET, Format
from reference_models.checkpoints.formats.hugging_face import HF_TIMESFORMER, HF_VIDEOMAE, HF_VIVIT, HF_VJEPA2
from reference_models.checkpoints.formats.pytorchvideo_mvit import PYTORCHVIDEO_MVIT
from reference_models.checkpoints.formats.rspnet import RSPNET, RSPNET_SEVERE
from reference_models.checkpoints.formats.timesformer import TIMESFORMER
from reference_models.checkpoints.formats.torchvision import (
    GDT,
    MOCO,
    PRETEXT_CONTRAST,
    TORCHVISION_MVIT,
    TORCHVISION_RESNET,
    TORCHVISION_SWIN,
)
from reference_models.checkpoints.formats.vcop import PRP, VCOP, VCOP_R3D
from reference_models.checkpoints.formats.video_swin import VIDEO_SWIN
from reference_models.checkpoints.formats.videomae import VIDEOMAE_FINETUNE, VIDEOMAE_PRETRAIN

OWN = Format(
    name="reelproof",
    source="Reelproof's own backbones",
    architectures=tuple(BACKBONES),
    normalisation=IMAGENET,
)
"""A trunk's own keys, as `state_dict()` gives them."""

FORMATS: tuple[Format, ...] = (
    VCOP,
    VCOP_R3D,
    PRP,
    RSPNET,
    RSPNET_SEVERE,
    CTP,
    GDT,
    MOCO,
    PRETEXT_CONTRAST,
    EFFICIENT_SHUFFLENET,
    EFFICIENT,
    VIDEO_SWIN,
    VIDEOMAE_PRETRAIN,
    VIDEOMAE_FINETUNE,
    TIMESFORMER,
    PYTORCHVIDEO_MVIT,
    HF_VIDEOMAE,
    HF_TIMESFORMER,
    HF_VIVIT,
    HF_VJEPA2,
    TORCHVISION_RESNET,
    TORCHVISION_SWIN,
    TORCHVISION_MVIT,
    OWN,
)
