"""A stand-in for Kiro's closed `kiro-cli`, for demos and tests. It is not Kiro and no model answers.

Invariants: it honours the real program's command line and writes the real program's conversation stores; every
behaviour names the section of the facts it follows ([L] where the facts only infer it); it imports the standard
library only and never the readers it is meant to test.
"""
