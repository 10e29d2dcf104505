"""The pages: what they need comes from here, under relative addresses."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient

from bridge.web import assets

CHAT = ("/chat", "/chat/", "/chat/embed", "/chat/embed/")
STATIC = Path(assets.__file__).with_name("static")
LINK = re.compile(r'(?:href|src)="([^"]*)"')


@pytest.mark.parametrize("prefix", ["", "/@user/workspace.main/apps/kiro"])
@pytest.mark.parametrize("path", [*CHAT, "/docs"])
def test_pages_hold_relative_links_that_lead_somewhere(client: FlaskClient, path: str, prefix: str) -> None:
    """Under any prefix that a proxy strips, each link of a page leads to something that is served."""
    page = client.get(path).get_data(as_text=True)
    links = [link for link in LINK.findall(page) if not link.startswith(("#", "data:"))]
    assert any(link.endswith("page.css") for link in links)
    for link in links:
        assert not re.match(r"[a-z]+:|/", link), link
        target = urljoin(f"http://proxy.example{prefix}{path}", link)
        assert target.startswith(f"http://proxy.example{prefix}/")
        assert client.get(target.removeprefix(f"http://proxy.example{prefix}"), buffered=True).status_code == 200, link


@pytest.mark.parametrize("path", CHAT)
def test_the_chat_page_knows_where_the_api_is(client: FlaskClient, path: str) -> None:
    """Its base is the directory of `/status`, from wherever it was asked for."""
    page = client.get(path).get_data(as_text=True)
    (base,) = re.findall(r'data-base="([^"]*)"', page)
    assert urljoin(f"http://proxy.example/p{path}", base) == "http://proxy.example/p/"


@pytest.mark.parametrize("path", [*CHAT, "/docs"])
def test_pages_bring_a_strict_policy(client: FlaskClient, path: str) -> None:
    """Nothing from elsewhere, nothing inline; frames are allowed, as Coder needs one."""
    response = client.get(path)
    assert response.content_type == "text/html; charset=utf-8"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors" not in policy
    assert "X-Frame-Options" not in response.headers
    page = response.get_data(as_text=True)
    assert "https://" not in page
    assert "http://" not in page
    assert not re.search(r"<script(?![^>]*src=)|<style|\son[a-z]+=|\sstyle=", page)


@pytest.mark.parametrize("path", CHAT)
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_the_chat_page_answers_any_method(client: FlaskClient, path: str, method: str) -> None:
    """As AgentAPI's (contract 1.1)."""
    assert client.open(path, method=method).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/chat/none.js", "/chat/embed/x", "/chat/assets/main.js", "/chat/assets/old/main.js"),
        *("/chat/assets/{}/none.js", "/chat/assets/{}/../page.py", "/chat/assets/{}/..%2f..%2fpage.py"),
    ],
)
def test_missing_files(client: FlaskClient, path: str) -> None:
    """A file that is not there is 404, whatever its name tries, and so is another version's."""
    assert client.get(path.format(assets.version())).status_code == 404


@pytest.mark.parametrize("name", sorted(assets.assets()))
def test_assets(client: FlaskClient, name: str) -> None:
    """Each has its type, may be kept for ever under its versioned address, and is the file, packed or not."""
    address = f"/chat/assets/{assets.version()}/{name}"
    plain = client.get(address)
    packed = client.get(address, headers={"Accept-Encoding": "gzip, br"})
    kind = "text/javascript" if name.endswith(".js") else "text/css"
    for response in (plain, packed):
        assert response.content_type == f"{kind}; charset=utf-8"
        assert "immutable" in response.headers["Cache-Control"]
        assert response.headers["Vary"].startswith("Accept-Encoding")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data == (STATIC / name).read_bytes()


def test_the_page_asks_for_all_its_modules_at_once(client: FlaskClient) -> None:
    """Every module is named in the page, so that none is found out about only by reading another."""
    page = client.get("/chat").get_data(as_text=True)
    preloaded = set(re.findall(r'rel="modulepreload" href="[^"]*/assets/[0-9a-f]+/([^"]+)"', page))
    imported: set[str] = set()
    for path in STATIC.rglob("*.js"):
        for name in re.findall(r'^(?:import|} from|import .* from)\s*"([^"]+)"', path.read_text(), re.MULTILINE):
            imported.add((path.parent / name).resolve().relative_to(STATIC).as_posix())
    assert imported == preloaded


def test_one_place_makes_markup(client: FlaskClient) -> None:
    """What the agent wrote becomes markup in one module only, through blocks that the server made safe."""
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\(|srcdoc|DOMParser|setHTML"
    found = {path.name for path in STATIC.rglob("*.js") if re.search(forbidden, path.read_text())}
    assert found == {"blocks.js"}
    assert len(re.findall(forbidden, (STATIC / "blocks.js").read_text())) == 1


def test_modules_are_small_and_speak_through_the_catalogue() -> None:
    """A module can be read in one go, and sentences for people stand in strings.js."""
    for path in STATIC.rglob("*.js"):
        text = path.read_text()
        assert len(text.splitlines()) <= 450, path.name
        if path.name not in ("strings.js", "theme.js"):
            code = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
            assert not re.search(r'"[A-Z][a-z]+ [a-z]+ [^"]*"', code), path.name


def test_the_reference_lists_every_operation(client: FlaskClient) -> None:
    """`/docs` shows each operation and schema of the document."""
    page = client.get("/docs").get_data(as_text=True)
    assert "<title>AgentAPI Reference</title>" in page
    document = client.get("/openapi.json").json
    assert document is not None
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in page
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page
