"""The user's own scripts before and after the installation.

Invariant: a script runs with its own shebang, its output is seen while it runs and kept in a log file, known secrets
in it are blotted out, and one that fails stops everything.
"""

from __future__ import annotations

import codecs
import os
import select
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from bridge.files import make_private_directory, replace_file
from bridge.kiro.environment import enriched_path
from bridge.provision.inputs import Places
from bridge.provision.opening import private
from bridge.provision.progress import ProvisionError, say
from bridge.provision.secrets import blot_out, without_login

_LINGER = 0.5
"""Seconds of silence after the script's end that end the reading: what it left in the background may hold the pipe."""


def run_script(name: str, text: str, places: Places, environ: Mapping[str, str]) -> None:
    """Run the script called `name` (`pre_install`, `post_install`), if there is one. Raises `ProvisionError`."""
    if not text.strip():
        return
    path = _write(places.scripts / name, text)
    log = places.logs / f"{name}.log"
    make_private_directory(places.logs)
    say(f"Running the {name} script; its output is kept in {log}.")
    env = {**without_login(environ), "PATH": enriched_path({**environ, "PATH": _path_with_bin(places, environ)})}
    try:
        process = subprocess.Popen(
            [str(path)], cwd=places.home, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise ProvisionError(
            f"The {name} script could not be started ({error.strerror}); its first line is {text.splitlines()[0]!r}.",
            "Begin it with the line of an interpreter that this workspace has, such as #!/bin/bash.",
            code="script_failed",
        ) from error
    assert process.stdout is not None
    with process.stdout, open(log, "w", encoding="utf-8", opener=private) as kept:
        for line in _lines(process, process.stdout):
            shown = blot_out(line, environ)
            kept.write(shown + "\n")
            say(f"  {shown}")
    code = process.wait()
    if code != 0:
        ended = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        raise ProvisionError(
            f"The {name} script {ended}.",
            f"See {log}, correct the input {name}_script of the module and start the workspace again.",
            code="script_failed",
            exit_code=code if 0 < code < 126 else 1,
        )


def _write(path: Path, text: str) -> Path:
    """Write the script, mode 0700, and return its path; a script without a shebang gets the shell's."""
    text = text.lstrip().replace("\r\n", "\n")
    if not text.startswith("#!"):
        text = f"#!{'/bin/bash' if os.path.exists('/bin/bash') else '/bin/sh'}\n{text}"
    replace_file(path, text.encode())
    path.chmod(0o700)
    return path


def _path_with_bin(places: Places, environ: Mapping[str, str]) -> str:
    entries = [entry for entry in environ.get("PATH", "").split(os.pathsep) if entry]
    return os.pathsep.join(dict.fromkeys([str(places.bin), *entries]))


def _lines(process: subprocess.Popen[bytes], pipe: IO[bytes]) -> Iterator[str]:
    """Yield what the script prints, line by line, until it has ended."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while True:
        ended = process.poll() is not None
        if not select.select([pipe], [], [], _LINGER)[0]:
            if ended:
                break
            continue
        part = os.read(pipe.fileno(), 65536)
        *lines, rest = (rest + decoder.decode(part)).split("\n")
        yield from lines
        if not part:
            break
    if rest:
        yield rest
