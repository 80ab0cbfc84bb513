"""Experiments that produce something we ship or print: a table of the paper, a reference teacher."""
