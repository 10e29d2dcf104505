"""The rules for allowed hosts and origins, and their texts of refusal.

Source: facts/agentapi-contract.md 5.3 and 8 H5-H8, H11.

Invariant: a `*` in a list stands for everything, so no other entry of that list is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

HOSTS_REFUSED = "failed to parse allowed hosts"
ORIGINS_REFUSED = "failed to parse allowed origins"


class Refused(ValueError):
    """A value cannot be used; the text says why and what is allowed."""


def parse_hosts(entries: Sequence[str]) -> tuple[str, ...]:
    """Return the host names as configured, with IPv6 addresses out of their brackets, or `("*",)`."""
    if "*" in entries:
        return ("*",)
    refuse_common_faults(entries, HOSTS_REFUSED)
    return tuple(parse_host(entry) for entry in entries)


def parse_host(entry: str) -> str:
    """Return one host name without brackets. Raises `Refused` when it is more than a host name."""
    if "://" in entry:
        raise Refused(f"{HOSTS_REFUSED}: '{entry}' must not include http:// or https://")
    if entry.startswith("[") and entry.endswith("]"):
        return entry[1:-1]
    if ":" in entry:
        raise Refused(f"{HOSTS_REFUSED}: '{entry}' must not include a port (IPv6 goes in brackets)")
    if not entry or any(character in entry for character in "/?#@[]\\"):
        raise Refused(f"{HOSTS_REFUSED}: '{entry}' is not a host name")
    return entry


def parse_origins(entries: Sequence[str]) -> tuple[str, ...]:
    """Return the origins as `scheme://host[:port]`, path, query and fragment dropped, or `("*",)`."""
    if "*" in entries:
        return ("*",)
    refuse_common_faults(entries, ORIGINS_REFUSED)
    return tuple(parse_origin(entry) for entry in entries)


def parse_origin(entry: str) -> str:
    """Return one origin cut down to scheme, host and port. Raises `Refused` when it has no scheme or host."""
    try:
        parts = urlsplit(entry)
        if parts.scheme and parts.hostname and parts.port != 0 and "@" not in parts.netloc:
            return f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        pass
    raise Refused(f"{ORIGINS_REFUSED}: '{entry}' is not an origin such as https://coder.example.com")


def refuse_common_faults(entries: Sequence[str], begin: str) -> None:
    """Raise `Refused` for an empty list and for entries with white space or commas; its text starts with `begin`."""
    if not entries:
        raise Refused(f"{begin}: the list must not be empty")
    for entry in entries:
        if any(character.isspace() for character in entry):
            raise Refused(f"{begin}: '{entry}' contains whitespace characters, which are not allowed")
        if "," in entry:
            raise Refused(f"{begin}: '{entry}' contains comma characters, which are not allowed")
