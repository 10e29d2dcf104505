"""What the module asks for: one JSON file with its inputs under their own names.

Invariant: every value has been checked for its type once it is an `Inputs`, and none of them is a secret: those come
through the environment. Only the standard library is used.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.provision.progress import ProvisionError

DEFAULT_INSTALL_URL = "https://desktop-release.q.us-east-1.amazonaws.com"
DEFAULT_DIRECTORY = ".coder-modules/coder/kiro-cli"
LATEST = "latest"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The module's inputs. An empty text stands for one that was not given."""

    workdir: str
    install_kiro_cli: bool = True
    kiro_cli_version: str = LATEST
    kiro_install_url: str = DEFAULT_INSTALL_URL
    kiro_cli_sha256: str = ""
    pre_install_script: str = ""
    post_install_script: str = ""
    system_prompt: str = ""
    coder_mcp_instructions: str = ""
    agent_config: str = ""
    mcp: str = ""
    report_tasks: bool = True
    trust_all_tools: bool = False
    engine: str = ""
    transport: str = ""
    model: str = ""
    resume: bool = True
    ai_prompt: str = ""
    port: int = 3284
    chat_base_path: str = ""
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    auth_tarball_path: str = ""
    task_log_snapshot: bool = True
    task_id: str = ""
    module_directory: str = ""
    app_slug: str = "kiro-cli"


def read_inputs(path: Path) -> Inputs:
    """Return the inputs in a file; keys that are not ours are the module's own business. Raises `ProvisionError`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _bad(f"the file {path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise _bad(f"the file {path} is not JSON in UTF-8 ({error})") from None
    if not isinstance(found, dict):
        raise _bad(f"the file {path} must hold one JSON object")
    return inputs_from(found)


def inputs_from(found: Mapping[str, Any]) -> Inputs:
    """Return the inputs in a mapping; null counts as not given. Raises `ProvisionError`."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Inputs):
        value = found.get(field.name)
        if value is None:
            continue
        check, meaning = _KINDS[str(field.type)]
        if not check(value):
            raise _bad(f"{field.name} must be {meaning}, and is {type(value).__name__}")
        values[field.name] = tuple(value) if isinstance(value, list) else value
    workdir = values.get("workdir", "")
    if not workdir.startswith("/"):
        raise _bad(f"workdir must be an absolute path, and is {workdir!r}")
    return Inputs(**{**values, "workdir": workdir.rstrip("/") or "/"})


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda value: isinstance(value, str), "a text"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "tuple[str, ...]": (
        lambda value: isinstance(value, list) and all(isinstance(entry, str) for entry in value),
        "a list of texts",
    ),
}


def _bad(cause: str) -> ProvisionError:
    return ProvisionError(
        f"The module's inputs cannot be used: {cause}.",
        "Correct the input of the module, or the file named with --config.",
        code="bad_config",
    )


@dataclass(frozen=True)
class Places:
    """Where things are kept: `root` is the module's own folder, `home` the account's."""

    home: Path
    root: Path

    @classmethod
    def of(cls, inputs: Inputs, environ: Mapping[str, str]) -> Places:
        """Return the places that the inputs and the environment name."""
        home = Path(environ.get("HOME") or Path.home())
        return cls(home, Path(inputs.module_directory or home / DEFAULT_DIRECTORY))

    @property
    def logs(self) -> Path:
        """Return the folder of log files."""
        return self.root / "logs"

    @property
    def scripts(self) -> Path:
        """Return the folder the user's scripts are written to."""
        return self.root / "scripts"

    @property
    def versions(self) -> Path:
        """Return the folder of unpacked kiro-cli versions."""
        return self.root / "kiro-cli"

    @property
    def state(self) -> Path:
        """Return the folder of the bridge's own data."""
        return self.root / "state"

    @property
    def pid_file(self) -> Path:
        """Return the file with the process id of the running bridge."""
        return self.root / "kiro-bridge.pid"

    @property
    def bin(self) -> Path:
        """Return the folder in which users expect commands."""
        return self.home / ".local" / "bin"
