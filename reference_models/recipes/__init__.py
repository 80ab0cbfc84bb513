"""Training runs, in full: one task a file; `named` finds them."""
