"""Which file of a kiro-cli release fits this machine, and what its manifest says of it.

Invariant: pure, but for the questions about this machine. Only the standard library is used.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.provision.progress import ProvisionError

_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_LEAST_GLIBC = {"x86_64": (2, 34), "aarch64": (2, 39)}
"""Below these only the musl build runs (facts/kiro-cli.md 7)."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]*")


@dataclass(frozen=True)
class Listed:
    """What a manifest says of one file: the version it belongs to, and its sha256 (empty when it has none)."""

    version: str
    sha256: str


def file_name() -> str:
    """Return the name of the zip for this machine. Raises `ProvisionError` where Kiro has none."""
    if not sys.platform.startswith("linux"):
        raise _unsupported(f"the operating system {sys.platform}")
    return zip_name(platform.machine(), glibc_version())


def zip_name(machine: str, glibc: tuple[int, int] | None) -> str:
    """Return the name of the zip for a machine with that glibc, None for musl. Raises `ProvisionError`."""
    architecture = _MACHINES.get(machine.lower())
    if architecture is None:
        raise _unsupported(f"the machine type {machine}")
    musl = glibc is None or glibc < _LEAST_GLIBC[architecture]
    return f"kirocli-{architecture}-linux{'-musl' if musl else ''}.zip"


def glibc_version() -> tuple[int, int] | None:
    """Return the version of the C library in use, None when it is not glibc."""
    try:
        words = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return None
    found = re.fullmatch(r"glibc (\d+)\.(\d+).*", words)
    return (int(found[1]), int(found[2])) if found else None


def folder_url(base: str, version: str) -> str:
    """Return the address of a version's folder: `{base}/{version}`."""
    if not _VERSION.fullmatch(version):
        raise ProvisionError(
            f"kiro_cli_version is {version!r}, which is no version.",
            'Give a version such as "1.14.0", or "latest".',
            code="bad_config",
        )
    if not re.match(r"https?://[^/]", base):
        raise ProvisionError(
            "kiro_install_url is no http or https address.",
            "Give the address of the folder that holds the versions.",
            code="bad_config",
        )
    return f"{base.rstrip('/')}/{version}"


def listed(manifest: Any, name: str) -> Listed | None:
    """Return what a manifest says of the file called `name`, None when it does not know it (facts/kiro-cli.md 7)."""
    if not isinstance(manifest, Mapping):
        return None
    version = manifest.get("version")
    version = version if isinstance(version, str) and _VERSION.fullmatch(version) else ""
    packages = manifest.get("packages")
    for package in packages if isinstance(packages, list) else []:
        if isinstance(package, Mapping) and str(package.get("download", "")).rpartition("/")[2] == name:
            digest = str(package.get("sha256", "")).lower()
            return Listed(version, digest if _SHA256.fullmatch(digest) else "")
    return Listed(version, "") if version else None


def _unsupported(what: str) -> ProvisionError:
    return ProvisionError(
        f"There is no kiro-cli for {what}.",
        "Use a workspace with Linux on x86_64 or aarch64, or put kiro-cli there yourself and set install_kiro_cli ="
        " false.",
        code="unsupported_machine",
    )
