"""Benchmarks: this bridge beside the real AgentAPI in one run, and its slow paths alone. `python -m bench`.

Invariant: everything runs in a scratch folder, on ports the system gives, with processes that are ended by their id.
"""
