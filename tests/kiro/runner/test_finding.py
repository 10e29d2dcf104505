"""Where kiro-cli, its environment and its data are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.errors import Problem
from bridge.kiro.environment import child_environment, enriched_path
from bridge.kiro.finder import find_binary
from bridge.kiro.locations import find_locations

from .scripts import program


def binary(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return program(path, "exit 0", "/bin/sh")


def test_the_order_of_the_search(tmp_path: Path) -> None:
    home = tmp_path / "home"
    local = binary(home / ".local/bin/kiro-cli")
    on_path = binary(tmp_path / "path/kiro-cli")
    by_variable = binary(tmp_path / "variable/kiro")
    by_setting = binary(tmp_path / "setting/kiro")
    environ = {"HOME": str(home), "PATH": ""}
    assert find_binary(None, environ) == local
    environ["PATH"] = str(on_path.parent)
    assert find_binary(None, environ) == on_path
    environ["KIRO_CLI_PATH"] = str(by_variable)
    assert find_binary(None, environ) == by_variable
    assert find_binary(str(by_setting), environ) == by_setting
    assert find_binary("kiro-cli", environ) == on_path
    assert find_binary("~/.local/bin/kiro-cli", environ) == local


def test_the_bundles_of_macos_and_the_name_on_windows(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PATH": ""}
    bundled = binary(tmp_path / "Applications/Kiro.app/Contents/MacOS/kiro-cli")
    assert find_binary(None, environ, platform="darwin") == bundled
    preferred = binary(tmp_path / "Applications/Kiro CLI.app/Contents/MacOS/kiro-cli")
    assert find_binary(None, environ, platform="darwin") == preferred
    windows = binary(tmp_path / "bin/kiro-cli.exe")
    assert find_binary(None, environ, platform="win32") == windows


def test_a_missing_binary_says_where_it_was_looked_for_and_what_to_do(tmp_path: Path) -> None:
    found = find_binary(None, {"HOME": str(tmp_path), "PATH": ""}, platform="darwin")
    assert isinstance(found, Problem) and found.code == "kiro_missing"
    for place in ("PATH", f"{tmp_path}/.local/bin/kiro-cli", "/usr/local/bin/kiro-cli", "/Applications/Kiro CLI.app"):
        assert place in found.cause
    assert "KIRO_CLI_PATH" in found.remedy and "kiro_cli_path" in found.remedy and "nstall" in found.remedy


@pytest.mark.parametrize("kind", ["folder", "not executable", "dangling", "absent"])
@pytest.mark.parametrize("origin", ["setting", "variable"])
def test_what_was_named_is_used_or_refused(tmp_path: Path, kind: str, origin: str) -> None:
    binary(tmp_path / ".local/bin/kiro-cli")
    path = tmp_path / "named"
    if kind == "folder":
        path.mkdir()
    elif kind == "not executable":
        path.write_text("x")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    words = {"folder": "folder", "not executable": "chmod +x", "dangling": "link", "absent": "no such file"}
    environ = {"HOME": str(tmp_path), "PATH": ""}
    if origin == "variable":
        environ["KIRO_CLI_PATH"] = str(path)
    found = find_binary(str(path) if origin == "setting" else None, environ)
    assert isinstance(found, Problem) and words[kind] in found.cause and str(path) in found.cause
    assert ("KIRO_CLI_PATH" if origin == "variable" else "kiro_cli_path") in found.cause


def test_the_path_keeps_the_users_order_and_gains_folders_that_exist(tmp_path: Path) -> None:
    for name in (
        ".local/bin",
        ".bun/bin",
        ".volta/bin",
        ".nvm/versions/node/v9.1.0/bin",
        ".nvm/versions/node/v20.2.0/bin",
    ):
        (tmp_path / name).mkdir(parents=True)
    own = f"/nowhere{os.pathsep}/usr/bin{os.pathsep}{tmp_path}/.bun/bin"
    entries = enriched_path({"HOME": str(tmp_path), "PATH": own}).split(os.pathsep)
    assert entries[:3] == ["/nowhere", "/usr/bin", f"{tmp_path}/.bun/bin"]
    assert len(entries) == len(set(entries))
    assert {f"{tmp_path}/{name}" for name in (".local/bin", ".volta/bin", ".nvm/versions/node/v20.2.0/bin")} < {
        *entries
    }
    assert not any("v9.1.0" in entry or ".asdf" in entry for entry in entries)


def test_the_environment_of_a_child(tmp_path: Path) -> None:
    given = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin",
        "KIRO_BRIDGE_PORT": "1",
        "AGENTAPI_PORT": "2",
        "BRIDGE_RUN_ID": "x",
    }
    given |= {"KIRO_API_KEY": "k", "KIRO_NO_AUTO_UPDATE": "1", "TERM": "xterm", "LANG": "C.UTF-8"}
    env = child_environment(given)
    assert not any(name.startswith(("KIRO_BRIDGE_", "AGENTAPI_", "BRIDGE_RUN_ID")) for name in env)
    quiet = {"NO_COLOR": "1", "CLICOLOR": "0", "KIRO_CLI_DISABLE_PAGER": "1", "PAGER": "cat", "TERM": "dumb"}
    kept = {"KIRO_API_KEY": "k", "KIRO_NO_AUTO_UPDATE": "1", "LANG": "C.UTF-8"}
    assert {**env, **quiet, **kept} == env
    assert env["BROWSER"].endswith("/false")
    assert "KIRO_NO_AUTO_UPDATE" not in child_environment({"HOME": str(tmp_path)})


def test_the_default_places_of_kiros_data(tmp_path: Path) -> None:
    environ = {"HOME": "/home/dev"}
    linux = find_locations(environ, platform="linux")
    assert linux.database == Path("/home/dev/.local/share/kiro-cli/data.sqlite3")
    assert linux.v2_sessions == Path("/home/dev/.kiro/sessions/cli")
    assert linux.v3_sessions == Path("/home/dev/.kiro/sessions")
    mac = find_locations(environ, platform="darwin")
    assert mac.database == Path("/home/dev/Library/Application Support/kiro-cli/data.sqlite3")
    windows = find_locations({**environ, "LOCALAPPDATA": "/appdata"}, platform="win32")
    assert windows.database == Path("/appdata/kiro-cli/data.sqlite3")


@pytest.mark.parametrize(
    ("environ", "place", "path"),
    [
        ({"XDG_DATA_HOME": "/xdg"}, "database", "/xdg/kiro-cli/data.sqlite3"),
        ({"XDG_DATA_HOME": "relative"}, "database", "/home/dev/.local/share/kiro-cli/data.sqlite3"),
        ({"KIRO_HOME": "/kiro"}, "database", "/home/dev/.local/share/kiro-cli/data.sqlite3"),
        ({"KIRO_TEST_DB_PATH": "/t.db", "XDG_DATA_HOME": "/xdg"}, "database", "/t.db"),
        ({"KIRO_HOME": "/kiro"}, "v2_sessions", "/kiro/sessions/cli"),
        ({"KIRO_HOME": "/kiro", "KIRO_TEST_SESSIONS_DIR": "/s"}, "v2_sessions", "/s"),
        ({"KIRO_HOME": "/kiro"}, "v3_sessions", "/home/dev/.kiro/sessions"),
    ],
)
def test_the_overrides_of_kiros_data(environ: dict[str, str], place: str, path: str) -> None:
    assert getattr(find_locations({"HOME": "/home/dev", **environ}, platform="linux"), place) == Path(path)


def test_a_setting_wins_over_every_override() -> None:
    environ = {"HOME": "/home/dev", "KIRO_TEST_DB_PATH": "/t.db", "KIRO_TEST_SESSIONS_DIR": "/s"}
    found = find_locations(environ, database="~/a.db", v2_sessions="/b", v3_sessions="/c", platform="linux")
    assert (found.database, found.v2_sessions, found.v3_sessions) == (Path("/home/dev/a.db"), Path("/b"), Path("/c"))
