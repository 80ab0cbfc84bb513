"""Protocols, one a file. A suite is a value; editing a released one changes its hash and is a new suite."""
