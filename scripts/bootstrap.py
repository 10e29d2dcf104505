"""What runs first in a workspace: unpacks the bridge, makes its private environment, and hands over to it.

The start script carries this text and feeds it to the Python it found, so it needs nothing but the standard library
of Python 3.10. Invariant: nothing half-made is ever used. A directory or file is complete when it has its final name
or its stamp; a start that finds all of them complete needs no network and changes nothing.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import gzip
import hashlib
import importlib.util
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

DEFAULT_DIRECTORY = "~/.coder-modules/coder/kiro-cli"
PARTS_TIMEOUT = 120.0
"""Seconds to wait for the scripts that bring the parts: they run at the same time as this one, in any order."""
DOWNLOAD_TRIES = 3
FETCH = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("bridge.provision.fetch", run_name="__main__", alter_sys=True)
"""


class BootstrapError(Exception):
    """What a user has to know and do; the text is shown after `error:`."""


def main(parameters: str) -> int:
    """Make everything ready and replace this process by `kiro-bridge start`; return an exit code if that failed.

    `parameters` is base64 of gzip of JSON: `config` for the bridge, `digest`, `parts` and `lock` of the payload (the
    digest is empty where the image holds the bridge), `pip_index_url`, `bridge_wheels_url`.
    """
    try:
        given = json.loads(gzip.decompress(base64.b64decode(parameters)))
        usual = os.umask(0o077)
        command = prepare(given)
        os.umask(usual)
        hand_over(command)
    except BootstrapError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
    except OSError as error:
        print(
            f"error: {error}. Make sure that the home directory can be written to and has free space (df -h ~), then"
            " restart the workspace.",
            file=sys.stderr,
            flush=True,
        )
    return 1


def prepare(given: dict[str, Any]) -> list[str]:
    """Bring all files in place, and return the command line that starts the bridge."""
    config = given["config"]
    directory = data_directory(config["module_directory"])
    config["module_directory"] = str(directory) if config["module_directory"] else ""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    config_file = directory / "config.json"
    with locked(directory / "bootstrap.lock"):
        replace(config_file, json.dumps(config, ensure_ascii=False, indent=1), 0o600)
        program = from_payload(directory, config_file, given) if given["digest"] else from_image()
        launcher = directory / "bin" / "kiro-bridge"
        launcher.parent.mkdir(exist_ok=True)
        replace(launcher, f'#!/bin/sh\nexec {shlex.join(program)} "$@"\n', 0o700)
    return [*program, "start", "--config", str(config_file)]


def data_directory(given: str) -> Path:
    """Return the absolute directory of all that the module keeps; `$HOME` and `~` may begin `given`."""
    path = (given or DEFAULT_DIRECTORY).replace("$HOME", "~", 1) if not given.startswith("/") else given
    return Path(path).expanduser()


def hand_over(command: list[str]) -> NoReturn:
    """Replace this process by the command, with nothing on its standard input."""
    sys.stdout.flush()
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.execv(command[0], command)


def from_image() -> list[str]:
    """Return the command of a bridge that the image already has."""
    found = shutil.which("kiro-bridge")
    if found is None:
        raise BootstrapError(
            "install_agentapi is false, so kiro-bridge has to be in the image, but it is not in PATH"
            f" ({os.environ.get('PATH', '')}). Install it in the image, or set install_agentapi = true."
        )
    return [found]


def from_payload(directory: Path, config_file: Path, given: dict[str, Any]) -> list[str]:
    """Unpack the bridge that the scripts brought, make its environment, and return its command."""
    source = unpacked(directory / "bridge" / given["digest"][:16], given["digest"], given["parts"])
    environment = directory / "env" / given["lock"][:16]
    made_from = fingerprint(given["lock"])
    stamp = environment / "complete"
    if not (stamp.is_file() and stamp.read_text("utf-8") == made_from):
        with fetching_kiro(source, config_file):
            make_environment(environment, source / "requirements.lock", given)
        replace(stamp, made_from, 0o600)
    site = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    path_file = site / "kiro-bridge.pth"
    if not (path_file.is_file() and path_file.read_text("utf-8") == f"{source}\n"):
        replace(path_file, f"{source}\n", 0o600)
    for current in (source.parent, environment):
        prune(current)
    return [str(environment / "bin" / "python"), "-I", "-m", "bridge"]


# The payload


def unpacked(home: Path, digest: str, parts: int) -> Path:
    """Return the directory with the bridge's sources, unpacked from the parts unless it is there already."""
    source = home / "src"
    if source.is_dir():
        return source
    names = [home / "parts" / str(number) for number in range(1, parts + 1)]
    wait_for(names)
    try:
        text = gzip.decompress(base64.b64decode("".join(name.read_text("ascii") for name in names)))
    except (ValueError, EOFError, OSError, zlib.error):
        text = b""
    if hashlib.sha256(text).hexdigest() != digest:
        shutil.rmtree(home / "parts")
        raise BootstrapError(
            f"the bridge's parts in {home / 'parts'} do not fit together, so they were removed. Make sure that the"
            " home directory has free space (df -h ~), then restart the workspace."
        )
    temporary = Path(tempfile.mkdtemp(prefix="src.", dir=home))
    for name, content in json.loads(text).items():
        target = temporary / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8", newline="")
    temporary.rename(source)
    shutil.rmtree(home / "parts")
    print(f"The bridge was unpacked to {source}.", flush=True)
    return source


def wait_for(names: list[Path]) -> None:
    """Return when all files are there. Raises `BootstrapError` that names the missing ones after `PARTS_TIMEOUT`."""
    end = time.monotonic() + PARTS_TIMEOUT
    while missing := [name.name for name in names if not name.is_file()]:
        if time.monotonic() > end:
            raise BootstrapError(
                f"part {', '.join(missing)} of {len(names)} of the bridge did not arrive in {PARTS_TIMEOUT:g} seconds."
                f' Each part is written by a script of its own, "Kiro CLI: bridge, part {missing[0]} of {len(names)}":'
                " look at its log among the workspace's startup logs, then restart the workspace."
            )
        time.sleep(0.02)


# The private environment


def fingerprint(lock: str) -> str:
    """Return what decides whether an environment can still be used: the locked packages and this Python."""
    return f"{lock}\n{sys.version}\n{os.path.realpath(sys.executable)}\n"


def make_environment(environment: Path, lock: Path, given: dict[str, Any]) -> None:
    """Make the private environment anew, with the packages of the lock file, each checked against its hash."""
    print(f"Making the bridge's private environment in {environment}.", flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    environment.parent.mkdir(parents=True, exist_ok=True)
    command = installer(environment)
    with wheels(given["bridge_wheels_url"], environment) as found:
        source: list[str] = []
        if found:
            source = ["--no-index", "--find-links", found]
        elif given["pip_index_url"]:
            source = ["--index-url", given["pip_index_url"]]
        run([*command, *source, *trusted(command, source), "--require-hashes", "--only-binary=:all:", "-r", str(lock)])


def installer(environment: Path) -> list[str]:
    """Make an empty environment, and return the command that installs into it: uv's, its own pip's or this pip's."""
    uv = shutil.which("uv")
    ensurepip = importlib.util.find_spec("ensurepip") is not None
    pip = importlib.util.find_spec("pip") is not None
    if importlib.util.find_spec("venv") is None or not (uv or ensurepip or pip):
        raise BootstrapError(
            f"{sys.executable} can make no private environment: it has neither ensurepip nor pip, and uv is not in"
            " PATH. Install the package python3-venv (Debian, Ubuntu: apt-get install python3-venv; Fedora:"
            " dnf install python3-pip; Alpine: apk add py3-pip) or uv in the image, or name another Python with"
            " the input bridge_python."
        )
    import venv

    venv.create(environment, symlinks=True, with_pip=ensurepip and not uv)
    python = environment / "bin" / "python"
    options = ["--disable-pip-version-check", "--no-input", "--quiet"]
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    if ensurepip:
        return [str(python), "-I", "-m", "pip", "install", *options]
    site = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    return [sys.executable, "-I", "-m", "pip", "install", *options, "--target", str(site)]


def trusted(command: list[str], source: list[str]) -> list[str]:
    """Return the options that let pip use a plain HTTP source; the hashes say what may come from it."""
    url = urllib.parse.urlsplit(source[-1]) if source else urllib.parse.urlsplit("")
    if url.scheme != "http" or "--disable-pip-version-check" not in command:
        return []
    return ["--trusted-host", url.netloc]


@contextlib.contextmanager
def wheels(url: str, environment: Path) -> Iterator[str]:
    """Yield where the installer finds wheels: `url` itself, or a directory with those of the zip that it names."""
    if not urllib.parse.urlsplit(url).path.endswith(".zip"):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="wheels.", dir=environment.parent) as folder:
        with zipfile.ZipFile(download(url)) as archive:
            for entry in archive.infolist():
                name = entry.filename.rpartition("/")[2]
                if name.endswith(".whl"):
                    Path(folder, name).write_bytes(archive.read(entry))
        yield folder


def download(url: str) -> io.BytesIO:
    """Return the zip at `url`, tried a few times. Raises `BootstrapError` with the reason and the input to look at."""
    for attempt in range(1, DOWNLOAD_TRIES + 1):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                body = io.BytesIO(answer.read())
            if zipfile.is_zipfile(body):
                return body
            reason = "what came is not a zip file"
        except (OSError, ValueError) as error:
            reason = str(error)
        print(f"Downloading {url} failed (try {attempt} of {DOWNLOAD_TRIES}): {reason}", file=sys.stderr, flush=True)
        time.sleep(0.5 if attempt < DOWNLOAD_TRIES else 0)
    raise BootstrapError(
        f"the bridge's wheels could not be had from {url}: {reason}. Check the input bridge_wheels_url: it names a zip"
        " of wheels, or a folder or page that lists them, and the workspace must be able to reach it."
    )


def run(command: list[str]) -> None:
    """Run the installer; what it says goes to the log. Raises `BootstrapError` when it fails."""
    result = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        raise BootstrapError(
            f"installing the bridge's Python packages failed (exit code {result.returncode}, see above). The workspace"
            " needs a package index: pip_index_url names one inside your network, bridge_wheels_url a folder or zip"
            " with the wheels of requirements.lock (README.md says how to make it)."
        )


@contextlib.contextmanager
def fetching_kiro(source: Path, config_file: Path) -> Iterator[None]:
    """Download kiro-cli beside the body. Its failure is not ours to report: the start will try again and say why."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", FETCH, str(source), "--config", str(config_file)],
        stdin=subprocess.DEVNULL,
    )
    try:
        yield
    except BaseException:
        child.terminate()
        raise
    finally:
        child.wait()


# Files


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one start at a time work on the files."""
    with open(path, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replace(path: Path, text: str, mode: int) -> None:
    """Put `text` in the place of `path` with these permissions, in one step."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def prune(current: Path) -> None:
    """Remove all that stands beside `current` but the newest: a bridge of the version before may still run from it."""
    os.utime(current)
    others = (path for path in current.parent.iterdir() if path != current)
    for old in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(old, ignore_errors=True)
