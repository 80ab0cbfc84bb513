"""`ucf101-v1`: the paper's main protocol, UCF101 test split 1."""

from bench.suites.paper import FROM_THE_PAPER, OURS, paper_suite
from bench.suites.protocol import Explanation

UCF101_V1 = paper_suite(
    "ucf101-v1",
    "ucf101",
    about=Explanation(
        question="What has an encoder learnt that helps to recognise actions in UCF101? The main protocol of the paper. "
        "Two rows that disagree on a fifth of the test videos are told apart four times in five from 2.5 points on.",
        paper=("UCF101, test split 1: 3,783 videos of 101 actions from 707 recordings", *FROM_THE_PAPER),
        ours=OURS,
        cost="Estimated: 10 million forward passes of the network (three trainings of 954 thousand clips, a step counting three), and 9 "
        "million of the student. At 100 TFLOP/s reached 1.2 hours for R(2+1)D of ten layers (43 GFLOP a clip); for networks as small as "
        "ShuffleNet (1 GFLOP) the number of operations decides, at 2,000 training clips a second 50 minutes for network and student each. "
        "Disk: 160 GB of frames at 128 x 171.",
    ),
)
