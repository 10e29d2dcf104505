"""The ACP transport: its parts, and the whole against the stand-in and small agents."""
