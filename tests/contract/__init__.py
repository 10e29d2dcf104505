"""The contract suite: every row of AgentAPI's HTTP, SSE and command line contract, black box, against any server.

``CONTRACT_URL=http://127.0.0.1:PORT`` checks a server that is already running (rows that need their own server are
skipped; it must run the agent named in ``targets.py``, and with ``AGENTAPI_BIN`` set too it is taken for AgentAPI),
``AGENTAPI_BIN=/path/to/agentapi`` the real AgentAPI, and by default this project's bridge. What may differ
between the two is listed in ``differences.py`` and nowhere else. Row numbers in test names are those of
facts/agentapi-contract.md.
"""
