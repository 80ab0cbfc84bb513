"""The exact pixels of version 1, as digests: whoever changes one changes every score measured under it.

A change here that is meant goes together with a new `corruptions.definition.VERSION`.
"""

import hashlib

import numpy as np
import pytest

from corruptions.definition import Definition
from corruptions.noise import corrupt

CLIP = "b9c8722239a4145e31ca33f7f23fe236"

GOLDEN = {
    ("gaussian/ucf101-p@source/v1", 1): "c633d6ee79261708621a196cf6de954c",
    ("gaussian/ucf101-p@source/v1", 2): "db49ea5cb5f66d4b7507e8053ee513e2",
    ("gaussian/ucf101-p@source/v1", 3): "0ecb21efce159579d74f1dfa86f8b3e7",
    ("gaussian/ucf101-p@source/v1", 4): "c150ff2e72f7d3f25c05519b6032e30c",
    ("gaussian/ucf101-p@source/v1", 5): "4e6ff1e47afe563fa7dca5deb5c60f20",
    ("impulse/ucf101-p@source/v1", 1): "ac9111dd6432f02e8f3120bfd1440432",
    ("impulse/ucf101-p@source/v1", 2): "451612efcad76521c0ed04f35dc9b7b0",
    ("impulse/ucf101-p@source/v1", 3): "f75db9abb851ff01ebdc951666f45e37",
    ("impulse/ucf101-p@source/v1", 4): "8ad09ea413cbe3bc3b06f1bbab3138ff",
    ("impulse/ucf101-p@source/v1", 5): "39975151c30dbfd01065f592a5c8efdc",
    ("shot/ucf101-p@source/v1", 1): "9e7b31ace2c4279debb28ab8dadbc65d",
    ("shot/ucf101-p@source/v1", 2): "492203033d419922542c83f65a9f6090",
    ("shot/ucf101-p@source/v1", 3): "9e6019d752827b3c44ffa96b9b1773aa",
    ("shot/ucf101-p@source/v1", 4): "80d90103e35acad1f8fd70dc0b65c33b",
    ("shot/ucf101-p@source/v1", 5): "37f5c079059fc86e6e704d0e0b3eceda",
    ("speckle/ucf101-p@source/v1", 1): "d2a7abf7a22caffb7afd66ec15c17b1b",
    ("speckle/ucf101-p@source/v1", 2): "baeca0e8c2fe0478483e630cdb7b0e35",
    ("speckle/ucf101-p@source/v1", 3): "ca00be7e8dbf177bc2bea9f3ed530d15",
    ("speckle/ucf101-p@source/v1", 4): "eb39f4f2b7ea63ccd30df807ba6a87f9",
    ("speckle/ucf101-p@source/v1", 5): "83f9f9433195624354a8afbaa8c17d40",
    ("gaussian/ucf101-p@input/v1", 3): "7f7be2f333c61589b3a3c0571eab8088",
    ("gaussian/ucf101-p@source/held/v1", 3): "07d6505fe79cc9e74c5f4a06dc635384",
    ("impulse/ucf101-p@input/v1", 3): "09b3b2911918a889f27ffcd0921c19c7",
    ("impulse/ucf101-p@source/held/v1", 3): "a956ea13a3386ab67664a332fa4687c1",
    ("shot/ucf101-p@input/v1", 3): "3847a49b901e233ca5bfbed6b9d06e0c",
    ("shot/ucf101-p@source/held/v1", 3): "ae767cadba9eeffaa8bc3a2d6418bba4",
    ("speckle/ucf101-p@input/v1", 3): "7136bea78487eed6aaeda43dc24b4f91",
    ("speckle/ucf101-p@source/held/v1", 3): "548af2a4463d0c33164b911219264a25",
    ("gaussian/imagenet-c@input/v1", 3): "401eed395f0cfda30b405a9d1da01f02",
    ("gaussian/imagenet-c@source/held/v1", 3): "cdbd61cebbf8b57afb48ca0c729c1850",
    ("impulse/imagenet-c@input/v1", 3): "75dff86cb054d612f149b72698b0cc26",
    ("impulse/imagenet-c@source/held/v1", 3): "bcd804eb137e78711835ee69d6bf42d4",
    ("shot/imagenet-c@input/v1", 3): "b855e34a9b7343bcbf4f8dbc6e74926e",
    ("shot/imagenet-c@source/held/v1", 3): "ad8b0e31d50b3be78c992abf78ebf954",
    ("speckle/imagenet-c@input/v1", 3): "78e3f01325c1ad9fc0a476c636c479b0",
    ("speckle/imagenet-c@source/held/v1", 3): "27f03d16ed19404487185b11379e5a8b",
    ("gaussian/tiny-imagenet-c@input/v1", 3): "9d0a32b9787115a61f48b160c602c9d8",
    ("gaussian/tiny-imagenet-c@source/held/v1", 3): "a976b30fc33bb76bff056a1679f3b6d2",
    ("impulse/tiny-imagenet-c@input/v1", 3): "af0509607f86e630c6be82c683387f29",
    ("impulse/tiny-imagenet-c@source/held/v1", 3): "f4ae65bf8fb4e33e682d132a9bb3c40b",
    ("shot/tiny-imagenet-c@input/v1", 3): "28acf85e59de0adc0bc9af49665b8659",
    ("shot/tiny-imagenet-c@source/held/v1", 3): "1f9484732c8dda5ba628e61f29806cd0",
    ("speckle/tiny-imagenet-c@input/v1", 3): "7ba214f32d8ca002e3fd904c493ca153",
    ("speckle/tiny-imagenet-c@source/held/v1", 3): "66413d1e8e473dcc298bd603c1c8cd33",
    ("gaussian/cifar10-c@input/v1", 3): "298c0a119a47a421e2b92f31bf8dc3a4",
    ("gaussian/cifar10-c@source/held/v1", 3): "4ce82910c4cbdec9166d74d286a93b45",
    ("impulse/cifar10-c@input/v1", 3): "dacb56fe186e42f2e19a412082c7c818",
    ("impulse/cifar10-c@source/held/v1", 3): "a8df8b654047d0d3da74f2c6bd4f5205",
    ("shot/cifar10-c@input/v1", 3): "f327ae967139aff00f34ebadc0cffd33",
    ("shot/cifar10-c@source/held/v1", 3): "099f32c5ed34655f604151b3879e8186",
    ("speckle/cifar10-c@input/v1", 3): "6d03a77ff36f442b51aa1779bd325c92",
    ("speckle/cifar10-c@source/held/v1", 3): "ed8bfb7ad4f651866f2f313ae9644549",
}


def golden_clip():
    """4 frames of 37 x 53, every value used, by a formula in integers."""
    t, row, column, channel = np.ogrid[:4, :37, :53, :3]
    return ((t * 29 + row * 7 + column * 3 + channel * 61 + row * column) % 256).astype(np.uint8)


def digest(name, severity):
    out = corrupt(
        golden_clip(),
        Definition.parse(name),
        severity,
        video_id="Archery/v_Archery_g01_c01",
        frame_numbers=(0, 1, 2, 90),
    )
    return hashlib.sha256(out.tobytes()).hexdigest()[:32]


def test_the_clip_itself_is_the_one_the_digests_were_made_from():
    assert hashlib.sha256(golden_clip().tobytes()).hexdigest()[:32] == CLIP


@pytest.mark.parametrize(("name", "severity"), GOLDEN)
def test_pixels_are_those_of_version_1(name, severity):
    assert digest(name, severity) == GOLDEN[name, severity]
