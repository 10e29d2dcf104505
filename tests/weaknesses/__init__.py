"""Where AgentAPI fails (facts/agentapi-contract.md 9), done to a running bridge; docs/agentapi.md lists them all."""
