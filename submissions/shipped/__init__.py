"""A small trained checkpoint that comes with Reelproof, and the result of judging it: `checkpoint/` and `result/`."""
