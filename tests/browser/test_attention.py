"""What is told to somebody who is not looking: the title, the icon of the tab, a notification, a sound."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenChat, ask, ready, send, until
from tests.whole.conftest import Bridge

NOTED = """(() => { window.told = []; window.beeps = 0; window.looking = true; document.hasFocus = () => window.looking;
window.Notification = new Proxy(window.Notification, {construct: (real, [title, options]) => {
window.told.push(`${title}: ${options.body}`); return Reflect.construct(real, [title, options]); }});
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function () { window.beeps += 1; return start.call(this); }; })()"""
ICON = "decodeURIComponent(document.getElementById('icon').href)"
WAITS, DONE = "#d9480f", "#2b8a3e"


def watched(open_chat: OpenChat) -> Page:
    """Open the page, note what it tells from now on, and wish for it in the settings."""
    page = open_chat(permissions=["notifications"])
    page.add_init_script(NOTED)
    page.reload()
    ready(page)
    page.click("#open-settings")
    page.get_by_label("Notify me when Kiro is done or waits, while I look elsewhere").check()
    page.get_by_label("And play a sound").check()
    page.keyboard.press("Escape")
    return page


def test_who_looks_elsewhere_is_told(bridge: Bridge, open_chat: OpenChat) -> None:
    """That Kiro waits and that it is done; the marks go when somebody looks again, the wishes outlive a reload."""
    bridge.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    page = watched(open_chat)
    page.reload()
    ready(page)
    send(page, "!standin ask shell echo allowed", "!standin text all done")
    page.evaluate("window.looking = false")
    until(page, "window.told.length === 1")
    assert page.evaluate("window.told[0]").startswith("Kiro waits for you: ")
    assert page.title().startswith("(!) ")
    assert WAITS in page.evaluate(ICON)
    page.keyboard.press("Alt+y")
    until(page, "window.told.length === 2")
    assert page.evaluate("window.told[1]").startswith("Kiro is done: ")
    assert page.evaluate("window.beeps") == 2
    assert page.title().startswith("● ")
    assert DONE in page.evaluate(ICON)
    page.evaluate("window.looking = true; window.dispatchEvent(new Event('focus'))")
    assert not page.title().startswith(("●", "(!)", "…"))
    assert DONE not in page.evaluate(ICON)


def test_who_looks_or_does_not_want_it_is_left_alone(bridge: Bridge, open_chat: OpenChat) -> None:
    """No notification and no sound while the page is looked at, nor without the wish; the title tells anyway."""
    bridge.start()
    page = watched(open_chat)
    ask(page, "!standin text while I look")
    assert page.evaluate("[window.told.length, window.beeps]") == [0, 0]
    assert not page.title().startswith("●")
    page.evaluate("localStorage.clear()")
    page.reload()
    ready(page)
    page.evaluate("window.looking = false")
    ask(page, "!standin text while I do not")
    assert page.title().startswith("● ")
    assert page.evaluate("[window.told.length, window.beeps]") == [0, 0]


def test_a_browser_that_forbids_it_is_told_of(bridge: Bridge, open_chat: OpenChat) -> None:
    """The wish is not kept where the browser gives no permission, and the panel says why."""
    bridge.start()
    page = open_chat()
    ready(page)
    page.evaluate("Notification.requestPermission = async () => 'denied'")
    page.click("#open-settings")
    wish = page.get_by_label("Notify me when Kiro is done or waits, while I look elsewhere")
    wish.click()
    expect(page.get_by_text("The browser forbids notifications for this page.")).to_be_visible()
    expect(wish).not_to_be_checked()
