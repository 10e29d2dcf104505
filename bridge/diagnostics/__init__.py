"""Whether everything the bridge needs is there and well, and what it uses.

Invariant: looking changes nothing: no file is written, no login begun, no prompt sent. No secret is in a finding.
"""
