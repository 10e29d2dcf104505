"""From a bare workspace to a running bridge: kiro-cli, login, agent configuration, start and stop."""
