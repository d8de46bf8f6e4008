"""The page in a browser: dragged, turned, typed into, and what its console said."""

import shutil
import signal
import subprocess
import sys

import pytest

pytest.importorskip("bokeh", reason="bokeh is not installed (the extra explore)")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no browser: chromium is not installed")
_SAYS = "(name) => Bokeh.documents[0].get_model_by_name(name).{}"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as player:
        found = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser):
    """A page whose console's errors fail the test."""
    found, errors = browser.new_page(viewport={"width": 1280, "height": 800}), []
    found.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    found.on("pageerror", lambda error: errors.append(str(error)))
    yield found
    found.close()
    assert [error for error in errors if "favicon" not in error] == []


@pytest.fixture(scope="module")
def address():
    program = subprocess.Popen([sys.executable, "-m", "odeopt", "explore", "beale", "--no-browser", "--steps", "100",
                                "--optimizers", "gd,momentum"], stdout=subprocess.PIPE, text=True)
    yield program.stdout.readline().split()[-1]
    program.send_signal(signal.SIGINT)
    assert program.wait(20) == 130
    program.stdout.close()


def text_of(page, name):
    return page.evaluate(_SAYS.format("text"), name)


def said(page, name, words):
    """Wait until a part of the page says so."""
    page.wait_for_function("([name, words]) => Bokeh.documents[0].get_model_by_name(name).text.includes(words)",
                           arg=[name, words], timeout=20_000)


def test_everything_follows_the_hand(page, address):
    page.goto(address)
    page.wait_for_function("window.Bokeh && Bokeh.documents[0] && Bokeh.documents[0].get_model_by_name('map') && "
                           "Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name('map'))", timeout=30_000)
    page.wait_for_timeout(500)
    before = page.url
    box = page.evaluate("""() => {
        const view = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name('map'))
        const b = view.frame.bbox, r = view.el.getBoundingClientRect()
        return [r.x + b.left, r.y + b.top, b.width, b.height] }""")
    left, top, width, height = box
    x, y = left + width * 1.5 / 4.5, top + height * 0.3 / 3.0  # the start (1, 1.2) in the window [-.5, 4] x [-1.5, 1.5]
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, 6):
        page.mouse.move(x + 10 * i, y + 12 * i)
    page.mouse.up()
    page.wait_for_function("before => location.href !== before", arg=before)
    assert "x0=1." in page.url.replace("%2C", ",")
    page.evaluate("() => { Bokeh.documents[0].get_model_by_name('refinement').value = 2 }")
    said(page, "table", "<td>400</td>")
    page.evaluate("() => { Bokeh.documents[0].get_model_by_name('gradientdescent.lr').value = -0.5 }")
    said(page, "table", "diverged")
    field = page.get_by_placeholder("(1-x)^2 + 100*(y-x^2)^2")
    field.fill("x^2 + import")
    field.press("Enter")
    said(page, "message", "role=alert")
    field.fill("(x-1)^2 + 3*y^2")
    field.press("Enter")
    page.wait_for_function("location.href.includes('problem=%28x-1%29')", timeout=20_000)
    assert "role=alert" not in text_of(page, "message")


def test_two_browsers_do_not_see_each_other_and_addresses_open_what_they_say(browser, page, address):
    other = browser.new_page()
    for one, query in ((page, "?problem=himmelblau&method=adam"), (other, "?problem=<b>&method=gd")):
        one.goto(address.partition("?")[0] + query)
        one.wait_for_function("window.Bokeh && Bokeh.documents[0] && Bokeh.documents[0].get_model_by_name('table')")
    assert "Adam" in text_of(page, "table") and "momentum" not in text_of(page, "table")
    assert "momentum" in text_of(other, "table")  # what it was opened with
    assert "role=alert" in text_of(other, "message") and "<b>" not in text_of(other, "message")
    other.close()


def test_what_is_copied_on_a_phone(browser, address):
    """On a page as wide as a phone, before anything was moved."""
    context = browser.new_context(viewport={"width": 390, "height": 844},
                                  permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("window.Bokeh && Bokeh.documents[0] && Bokeh.documents[0].get_model_by_name('map') && "
                           "Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name('map'))", timeout=30_000)
    for name, words in (("copy_python", "oo.problems.beale()"), ("copy_command", "odeopt compare beale"),
                        ("copy_link", page.url)):
        find = "name => Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name(name)).el"
        page.evaluate_handle(find, name).as_element().click()
        page.wait_for_function("async words => (await navigator.clipboard.readText()).includes(words)", arg=words)
    assert page.evaluate("document.documentElement.scrollWidth") <= 392
    handle, before = page.locator(".noUi-handle").first, page.url
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("before => location.href !== before", arg=before)
    context.close()


def test_the_file_needs_no_network(browser, page, tmp_path):
    from odeopt.explore import asked
    from odeopt.explore.static import write

    path = tmp_path / "out.html"
    state, _ = asked("beale", ["gd", "adam"], None, 50)
    assert write(state, path) < 6e6
    asked_for = []
    page.set_viewport_size({"width": 390, "height": 844})
    page.on("request", lambda request: asked_for.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("window.Bokeh && Bokeh.documents[0] && Bokeh.documents[0].get_model_by_name('refinement')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 392
    page.evaluate("() => { Bokeh.documents[0].get_model_by_name('refinement').value = 3 }")
    dots = page.evaluate("() => Bokeh.documents[0].get_model_by_name('refinement').value")
    assert dots == 3 and [url for url in asked_for if not url.startswith(("file:", "data:", "blob:"))] == []
