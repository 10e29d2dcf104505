"""`kiro-bridge attach`: a chat in the terminal, and one prompt for scripts, over the bridge's own HTTP.

Invariants: nothing but HTTP leads from here to the conversation, so leaving never ends a turn; whatever the agent
says passes `clean` before it reaches a terminal or a pipe.
"""
