"""The pages: what they need comes from here, under relative addresses."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient

CHAT = ("/chat", "/chat/", "/chat/embed", "/chat/embed/")
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
    "path", ["/chat/none.js", "/chat/assets/none.js", "/chat/assets/..%2f__init__.py", "/chat/embed/x"]
)
def test_missing_files(client: FlaskClient, path: str) -> None:
    """A file that is not there is 404, whatever its name tries."""
    assert client.get(path).status_code == 404


def test_assets(client: FlaskClient) -> None:
    """Script and style have their types, and can be asked for again cheaply."""
    for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
        response = client.get(f"/chat/assets/{name}", buffered=True)
        assert response.content_type.split(";")[0] in (kind, "application/javascript")
        again = client.get(f"/chat/assets/{name}", headers={"If-None-Match": response.headers["ETag"]}, buffered=True)
        assert again.status_code == 304


def test_the_script_writes_text_only(client: FlaskClient) -> None:
    """What the agent wrote never becomes markup."""
    script = client.get("/chat/assets/page.js", buffered=True).get_data(as_text=True)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|srcdoc", script)
    assert len(script.splitlines()) <= 300


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
