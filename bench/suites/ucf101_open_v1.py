"""`ucf101-open-v1`: UCF101 for encoders as they come, each with the clip that it was made for."""

from bench.suites.paper import FROM_THE_PAPER, OURS, paper_suite
from bench.suites.protocol import Explanation

UCF101_OPEN_V1 = paper_suite(
    "ucf101-open-v1",
    "ucf101",
    open=True,
    about=Explanation(
        question="How good is an encoder as its makers meant it to be used? Rows differ in what they were shown, so the clip "
        "stands in every row and the board is one of its own. "
        "Two rows that disagree on a fifth of the test videos are told apart four times in five from 2.5 points on.",
        paper=("UCF101, test split 1", *FROM_THE_PAPER[1:]),
        ours=(
            "frames, stride, resize and crop are those that the checkpoint's config names; 16 x 112 x 112 where it names none",
            "everything else as in ucf101-v1:",
            *OURS[1:],
        ),
        cost="Estimated: as ucf101-v1, times the cost of the encoder's clip over that of 16 x 112 x 112 (8 to 10 for "
        "16 x 224 x 224 in attention over space and time, 4 in convolutions).",
    ),
)
