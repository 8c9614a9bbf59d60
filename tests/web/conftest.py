"""A library of real clips on its page, and pages that may neither complain nor ask elsewhere."""

import pytest
from needs import needs
from web_server import browsing, chromium, split_address, write_music


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return write_music(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def address(library):
    with browsing(library) as found:
        yield found


@pytest.fixture(scope="session")
def browser():
    needs("starlette")
    needs("playwright")
    with chromium() as found:
        yield found


@pytest.fixture
def open_page(browser):
    """Open an address in a new window; at the end nothing was said and no one else was asked."""
    said, asked, contexts, allowed = [], [], [], []

    def open_it(address, *, ready=".grid .space .row", allow=(), view="/songs", **settings):
        allowed.extend(allow)
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **settings})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda m: said.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: said.append(f"error: {e}"))
        page.on("request", lambda r: asked.append((split_address(address)[0], r.url)))
        page.goto(address.replace("/#", f"{view}#"))
        if ready:
            page.wait_for_selector(ready)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert [one for one in said if not any(text in one for text in allowed)] == []
    assert [url for base, url in asked if not url.startswith(f"{base}/")] == []


@pytest.fixture
def page(open_page, address):
    return open_page(address)
