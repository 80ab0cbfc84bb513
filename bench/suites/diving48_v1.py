"""`diving48-v1`: Diving48 with the labels of version 2, where only the order of movements tells the class."""

from bench.suites.paper import FROM_THE_PAPER, OURS, paper_suite
from bench.suites.protocol import Explanation

DIVING48_V1 = paper_suite(
    "diving48-v1",
    "diving48",
    about=Explanation(
        question="Does an encoder follow movements in their order? Pools and divers look alike; single frames say little. "
        "Two rows that disagree on a fifth of the test videos are told apart four times in five from 10.8 points on.",
        paper=("Diving48 as a target that differs in kind from Kinetics", *FROM_THE_PAPER),
        ours=(
            "labels of version 2, 47 classes that occur; the paper does not say which version",
            "26 competitions make the test set, of very uneven size: intervals are wide and flagged",
            "16 consecutive frames are about half a second of a dive; the stride of the paper is not known",
            *OURS,
        ),
        cost="Estimated: 1.6 times that of ucf101-v1 (15,027 training videos in place of 9,537). Disk: 180 GB.",
    ),
)
