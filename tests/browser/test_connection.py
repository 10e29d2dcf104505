"""Cut connections, a bridge that is started again, a stripping proxy, a frame, two windows."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenChat, ask, ready, send, until
from tests.browser.proxies import PREFIX, proxy
from tests.whole.conftest import Bridge

pytestmark = pytest.mark.leaves("threads", "a browser's idle connections to the proxy end with the browser")


def test_under_a_prefix_that_the_proxy_strips(bridge: Bridge, open_chat: OpenChat) -> None:
    """From every address of the page all that it needs is found, and a prompt is answered."""
    bridge.start("--chat-base-path", f"{PREFIX}/chat")
    with proxy(bridge.url, PREFIX) as outside:
        page = open_chat(url=outside.url)
        for path in ("/", "/chat", "/chat/", "/chat/embed/"):
            page.goto(outside.url + path)
            ready(page)
            ask(page, f"!standin text through {path}")
            expect(page.locator("#turns").get_by_text(f"through {path}", exact=True)).to_be_visible()
        page.context.close()


def test_in_a_frame(bridge: Bridge, open_chat: OpenChat) -> None:
    """Coder shows the page in a frame of another page."""
    bridge.start()
    with proxy(bridge.url) as outside:
        outside.pages["/frame"] = (
            "<!doctype html><html data-ready><body style='margin:0'>"
            "<iframe src='chat/embed' style='border:0;width:400px;height:400px'></iframe>"
        )
        page = open_chat(800, 500, url=outside.url, path="/frame")
        frame = page.frame_locator("iframe")
        frame.locator("#history-top:not(:has(.skeleton))").wait_for(state="attached")
        frame.locator("#prompt").fill("!standin text within the frame")
        frame.locator("#prompt").press("Enter")
        expect(frame.locator("#turns").get_by_text("within the frame", exact=True)).to_be_visible()
        box = page.locator("iframe").bounding_box()
        composer = frame.locator("#composer").bounding_box()
        assert box and composer
        assert composer["y"] + composer["height"] <= box["y"] + box["height"]
        page.context.close()


def test_cuts_lose_and_double_nothing(bridge: Bridge, open_chat: OpenChat) -> None:
    """The connection is cut again and again while text arrives; in the end it is what the bridge has."""
    bridge.start()
    with proxy(bridge.url) as outside:
        page = open_chat(url=outside.url)
        ready(page)
        send(page, "!standin chunks 60", "!standin delay 0.05", "!standin numbered 80 line", "!standin tool shell true")
        for _ in range(6):
            page.wait_for_timeout(350)
            outside.drop()
        page.wait_for_selector(".turn-line:visible")
        text = str(page.evaluate("document.querySelector('#turns .text').innerText"))
        assert text.split() == " ".join(f"line {number}" for number in range(1, 81)).split()
        expect(page.locator("#turns .tool")).to_have_count(1)
        page.context.close()


def test_a_longer_cut_is_told_and_nothing_typed_is_lost(bridge: Bridge, open_chat: OpenChat) -> None:
    """A banner says so; a prompt that could not be sent stays; what happened meanwhile is there afterwards."""
    bridge.start()
    with proxy(bridge.url) as outside:
        page = open_chat(360, 600, url=outside.url)
        ready(page)
        outside.cut = True
        outside.drop()
        expect(page.locator("#banner")).to_contain_text("not answering")
        expect(page.locator("#phase")).to_have_text("Offline")
        page.fill("#prompt", "!standin text was typed while away")
        page.press("#prompt", "Enter")
        expect(page.locator("#send-problem")).to_contain_text("Not sent")
        assert page.input_value("#prompt") == "!standin text was typed while away"
        bridge.ask("!standin text happened meanwhile")
        outside.cut = False
        page.get_by_role("button", name="Try now").click()
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#turns").get_by_text("happened meanwhile", exact=True)).to_be_visible()
        page.press("#prompt", "Enter")
        expect(page.locator("#turns").get_by_text("was typed while away", exact=True)).to_be_visible()
        assert page.input_value("#prompt") == ""
        page.context.close()


def test_coder_wants_a_new_login(bridge: Bridge, open_chat: OpenChat) -> None:
    """A login page instead of the bridge is told as that; after the login one load goes on where it was."""
    bridge.start()
    with proxy(bridge.url) as outside:
        page = open_chat(url=outside.url)
        ready(page)
        page.fill("#prompt", "!standin text was typed before")
        outside.login = True
        outside.drop()
        expect(page.locator("#banner")).to_contain_text("Coder asks you to log in again.")
        page.press("#prompt", "Enter")
        expect(page.locator("#send-problem")).to_contain_text("Something else than the bridge answered")
        outside.login = False
        page.locator("#banner").get_by_role("button", name="Load again").click()
        ready(page)
        assert page.input_value("#prompt") == "!standin text was typed before"
        page.press("#prompt", "Enter")
        expect(page.locator("#turns").get_by_text("was typed before", exact=True)).to_be_visible()
        page.context.close()


def test_a_connection_that_is_dead_in_silence(bridge: Bridge, open_chat: OpenChat) -> None:
    """Without heartbeats for too long the page connects anew, and shows what it has missed."""
    bridge.start()
    with proxy(bridge.url) as outside:
        page = open_chat(url=outside.url)
        ready(page)
        page.clock.install()
        page.reload()
        ready(page)
        outside.mute = True
        bridge.ask("!standin text said in the silence")
        page.clock.run_for(20_000)
        expect(page.locator("#turns").get_by_text("said in the silence", exact=True)).to_have_count(0)
        outside.mute = False
        page.clock.run_for(25_000)
        expect(page.locator("#turns").get_by_text("said in the silence", exact=True)).to_be_visible()
        page.context.close()


def test_the_bridge_is_killed_and_started_again(bridge: Bridge, open_chat: OpenChat) -> None:
    """The page says so, comes back by itself, and tells how the turn ended."""
    bridge.start()
    port = urlsplit(bridge.url).port
    page = open_chat()
    ready(page)
    send(page, "!standin text before the end", "!standin tool-sleep 60")
    expect(page.locator("#turns").get_by_text("before the end", exact=True)).to_be_visible()
    page.fill("#prompt", "half a thought")
    bridge.kill()
    expect(page.locator("#banner")).to_be_visible()
    bridge.start("--port", str(port))
    expect(page.locator("#banner")).to_be_hidden(timeout=20_000)
    expect(page.locator(".turn-problem")).to_be_visible()
    expect(page.locator("#turns").get_by_text("before the end", exact=True)).to_be_visible()
    assert page.input_value("#prompt") == "half a thought"
    ask(page, "!standin text after it")
    expect(page.locator("#turns").get_by_text("after it", exact=True)).to_be_visible()


def test_two_windows_show_the_same(bridge: Bridge, open_chat: OpenChat) -> None:
    """What is asked in one is answered in both, and both say the same in the end."""
    bridge.start()
    one, two = open_chat(), open_chat(360, 600)
    for page in (one, two):
        ready(page)
    ask(one, "!standin chunks 10", "!standin delay 0.03", "!standin text **one** two three\\n\\n- four\\n- five")
    ask(two, "!standin tool shell echo hello", "!standin text second")
    for page in (one, two):
        until(page, "document.querySelectorAll('.turn-line:not([hidden])').length === 2")
    said = "[...document.querySelectorAll('#turns .text')].map(node => node.innerText).join()"
    texts = [str(page.evaluate(said)) for page in (one, two)]
    assert texts[0] == texts[1]
    assert "four" in texts[0]
