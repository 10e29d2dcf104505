"""The HTTP surface: the AgentAPI contract, /api/v1, uploads and pages, as one Flask application.

Invariant: nothing here knows how Kiro is run or where anything is stored; it speaks to `bridge.web.service` only.
"""
