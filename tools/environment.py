"""Make `.venv` from the lock files: `python tools/environment.py run|dev`.

Needs nothing but this Python and the package registry. A stamp in `.venv` says what was installed, from which locks
and where, so a second call does nothing and needs no network. Every package must match a hash of its lock file. For
`dev` the packages that test the page's modules are installed too, where npm is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
NODE_TESTS = ROOT / "tests" / "js"
LOCKS = {
    "run": ("requirements.lock", "requirements-build.lock"),
    "dev": ("requirements-dev.lock",),
}


def main(arguments: list[str]) -> int:
    """Bring `.venv` up to date for the purpose named by the only argument; return an exit code."""
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        print(f"usage: environment.py {'|'.join(LOCKS)}", file=sys.stderr)
        return 2
    purpose = arguments[0]
    if purpose == "dev":
        install_node_packages()
    if any(stamp_is_current(name) for name in LOCKS if name in {purpose, "dev"}):
        return 0
    print(f"Setting up .venv ({purpose}), once; this needs the package registry.", file=sys.stderr)
    try:
        install(purpose)
    except subprocess.CalledProcessError as error:
        print(f"error: setting up .venv failed (exit code {error.returncode}); see above.", file=sys.stderr)
        return 1
    stamp(purpose).write_text(fingerprint(purpose), encoding="ascii")
    return 0


def install_node_packages() -> None:
    """Install what the page's modules are tested with; without npm, or the registry, those tests skip and say so."""
    lock = hashlib.sha256((NODE_TESTS / "package-lock.json").read_bytes()).hexdigest()
    installed = NODE_TESTS / "node_modules" / ".stamp"
    npm = shutil.which("npm")
    if npm is None or (installed.exists() and installed.read_text(encoding="ascii") == lock):
        return
    print("Setting up tests/js, once; this needs the npm registry.", file=sys.stderr)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(command, cwd=NODE_TESTS, stdin=subprocess.DEVNULL, check=False).returncode == 0:
        installed.write_text(lock, encoding="ascii")
    else:
        print("warning: npm ci failed; the tests of the page that need it will skip.", file=sys.stderr)


def stamp(purpose: str) -> Path:
    """Return the file that says what `.venv` was last made from for `purpose`."""
    return VENV / f".{purpose}.stamp"


def stamp_is_current(purpose: str) -> bool:
    """Return whether `.venv` already holds what the lock files of `purpose` ask for."""
    try:
        return stamp(purpose).read_text(encoding="ascii") == fingerprint(purpose)
    except FileNotFoundError:
        return False


def fingerprint(purpose: str) -> str:
    """Return a digest of all that decides what `.venv` holds: locks, project file, Python and place."""
    digest = hashlib.sha256(f"{sys.version}\0{sys.executable}\0{os.fspath(ROOT)}".encode())
    for name in (*LOCKS[purpose], "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def install(purpose: str) -> None:
    """Install the locked packages and the project itself; a `.venv` that is current for less is kept."""
    if not any(stamp_is_current(name) for name in LOCKS):
        venv.create(VENV, clear=True, with_pip=True)
    python = VENV / "bin" / "python"
    pip = [os.fspath(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    locks = [part for name in LOCKS[purpose] for part in ("-r", name)]
    subprocess.run([*pip, "--require-hashes", *locks], cwd=ROOT, check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", "."], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
