"""The bridge between Coder and Kiro CLI: an AgentAPI-compatible server on Kiro's own records."""

from __future__ import annotations

__version__ = "0.1.0"
