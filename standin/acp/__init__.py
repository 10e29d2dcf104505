"""`kiro-cli acp`: the stand-in as an agent on newline JSON-RPC.

Invariant: everything of a session runs in that session's own thread, except the reading of stdin; a frame is written
whole and in the order in which its session made it (facts/kiro-wire.md, facts/kiro-cli.md 6).
"""
