"""The sections and states that pictures are taken of, each brought about as a visitor would."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from e2e.drivers.base import Page, wait_for
from e2e.embedder import Embedder
from e2e.steps import BOOT_SECONDS
from e2e.studio import DRAWN, RESULTS, Studio
from e2e.test_offline import NO_ANSWERS
from e2e.test_robust import CRASH, WATCH_WORKERS
from e2e.wire import Wire

HOME = ("header.top", ".hero", "#benchmark", "#outcome", "#results", "#together", "#privacy", "#live")
DASHBOARD = ("main > section:first-of-type", "#quality", "#effect", "#best", "#time", "#versions")
CONTROLLED = "navigator.serviceWorker?.controller != null"
LINK = "#result=1;7;156;dot:2.41,matmul:3.9,memchr:0.98,saxpy:1.21,sieve:1.32,sort:1.6:1.4,transpose:2.2:1.08;chromium"
CLICK = "document.querySelector(a[0]).click()"
UNFOLD = """for (const details of document.querySelector('fleetune-widget').shadowRoot.querySelectorAll('details'))
  details.open = true"""
SITE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Site</title>'
    '<meta name="color-scheme" content="light dark">'
)
THEME = "<style>body { font: 16px sans-serif; margin: 1rem } %s</style>"
OWN = "fleetune-widget { --fleetune-ground: #fdf3d8; --fleetune-ink: #402a00; --fleetune-soft: #6b5320;"
FILES = {
    "/": SITE + THEME % "" + "<main><h1>Somebody's page</h1><p>Their words.</p>"
    '<fleetune-widget kernels="dot, saxpy, sort" lang="LANGUAGE"></fleetune-widget></main>'
    '<script type="module" src="SERVERwidget.js"></script>',
    "/narrow": SITE
    + THEME % ""
    + '<main style="width: 200px"><h1>200 px</h1><fleetune-widget kernels="dot, sort, nosuch" lang="LANGUAGE">'
    '</fleetune-widget></main><script type="module" src="SERVERwidget.js"></script>',
    "/alone": SITE + THEME % "" + '<main><h1>No server</h1><fleetune-widget server="http://127.0.0.1:9/" '
    'lang="LANGUAGE"></fleetune-widget></main><script type="module" src="SERVERwidget.js"></script>',
    "/themed": SITE
    + THEME % (OWN + " --fleetune-accent: #8a2a00; --fleetune-radius: 0 }")
    + "<main><h1>Themed</h1>"
    '<fleetune-widget kernels="dot, saxpy, sort" lang="LANGUAGE"></fleetune-widget></main>'
    '<script type="module" src="SERVERwidget.js"></script>',
    "/around": SITE
    + THEME % "iframe { width: 100%; height: 60rem; border: 0 }"
    + "<main><h1>A frame without origin</h1>"
    '<iframe sandbox="allow-scripts" src="/" title="Fleetune"></iframe></main>',
    "/asks": SITE
    + THEME % ""
    + '<main><h1>Somebody\'s page</h1></main><script type="module" src="/asks.js"></script>',
    "/asks.js": 'import { connect } from "SERVERfleetune.js";'
    'const tuner = await connect(); tuner.consent.request({ lang: "LANGUAGE" });',
}


def _measuring(page: Page, seconds: float) -> None:
    wait_for(page, "!find('#thorough').disabled")
    page.evaluate(CLICK, "#thorough")
    wait_for(page, "find('#progress').value > 0", timeout=BOOT_SECONDS)
    page.evaluate("await new Promise((next) => setTimeout(next, a[0] * 1000))", seconds)


def home(studio: Studio) -> None:
    """First visit, measuring, paused, measured, sent, withdrawn."""
    page = studio.home()
    studio.take(page, "home-first")
    page.check("#strict")
    page.check("#enableTelemetry")
    wait_for(page, "/ε = 1/.test(find('#consentState').innerText)")
    studio.take(page, "home-strict", "#privacy")
    page.evaluate(CLICK, "#strict")
    _measuring(page, studio.seconds)
    studio.take(page, "home-measuring", "#benchmark")
    page.evaluate(CLICK, "#pause")
    page.evaluate("await new Promise((next) => setTimeout(next, 1500))")
    studio.take(page, "home-paused", "#benchmark")
    page.evaluate(CLICK, "#pause")
    page.evaluate(CLICK, "#stop")
    wait_for(page, "!find('#packetPreview').hidden && !find('#run').disabled")
    page.evaluate("document.querySelector('#fields').open = document.querySelector('#names').open = true")
    studio.take(page, "home-measured", *HOME)
    page.evaluate("document.querySelector('#fields').open = false")
    page.evaluate(CLICK, "#send")
    wait_for(page, "/HTTP/.test(find('#serverAnswer').innerText)")
    page.evaluate(CLICK, "#satisfied")
    wait_for(page, "!find('#satisfactionSent').hidden")
    page.evaluate("for (const details of document.querySelectorAll('#privacy details')) details.open = true")
    studio.take(page, "home-sent", "#privacy")
    page.evaluate(CLICK, "#withdraw")
    wait_for(page, "find('#withdrawAnswer').innerText")
    studio.take(page, "home-withdrawn", "#privacy")
    page.close()


def shared(studio: Studio) -> None:
    """Opened by a link that holds a result, and by one that was cut off."""
    page = studio.home()
    page.evaluate("location.hash = a[0]", LINK)
    wait_for(page, "!find('#shared').hidden")
    page.evaluate("document.querySelector('#shared details').open = true")
    studio.take(page, "home-shared", "#shared")
    page.evaluate("location.hash = a[0]", LINK[:-4])
    wait_for(page, "find('#shared').hidden")
    studio.take(page, "home-broken-link", "#notices")
    page.close()


def dashboard(studio: Studio) -> None:
    """With a trial under way."""
    page = studio.open("dashboard", "#heat tbody tr")
    wait_for(page, DRAWN, "#quality-panel canvas")
    studio.take(page, "dashboard", *DASHBOARD)
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    page.choose("#heatBy", "doubt")
    studio.take(page, "dashboard-tables")
    page.close()


def words(studio: Studio) -> None:
    """An explained term, and the pages without scripts: the policy, a dead link, what everyone may know."""
    page = studio.home()
    term = "document.activeElement.blur(); document.querySelector('[data-term=oracle]').focus();"
    studio.take(page, "state-term", "#results", before=term)
    page.close()
    for path in ("privacy", "nowhere/at/all", "functions", "functions/sort", "regressions", "data/"):
        page = studio.open(path)
        studio.take(page, path.strip("/").replace("/", "-"))
        page.close()


def crash(studio: Studio) -> None:
    page = studio.home()
    page.evaluate(WATCH_WORKERS)
    _measuring(page, 1)
    page.evaluate(CRASH)
    wait_for(page, "find('#notices').childElementCount > 0 && !find('#run').disabled")
    studio.take(page, "state-crash", "#notices", "#benchmark")
    page.close()


def offline_first(studio: Studio) -> None:
    studio.browser.before_scripts(NO_ANSWERS)
    page = studio.open()
    wait_for(page, "find('#resultsBody').hidden")
    studio.take(page, "state-offline-first")
    page.close()
    studio.browser.fresh()


def offline_second(studio: Studio) -> None:
    with Wire(studio.server.port) as wire:
        page = studio.browser.new_page()
        address = f"{wire.url}?lang={studio.language}"
        page.open(address)
        wait_for(page, DRAWN, RESULTS)
        wait_for(page, "!find('#refuse').disabled")
        page.evaluate(CLICK, "#refuse")  # nothing is stored for someone who only looks
        wait_for(page, CONTROLLED)
        page.open(address)
        wait_for(page, DRAWN, RESULTS)
        wait_for(page, "find('#liveDot').className.includes('on')")
        wire.cut()
        page.open(address)
        wait_for(page, DRAWN, RESULTS)
        wait_for(page, "find('#liveDot').className.includes('off')", timeout=90)
        studio.take(page, "state-offline-second")
        page.close()


def widget(studio: Studio) -> None:
    """In somebody's page, themed by it, in a frame without an origin; and the question as a dialog."""
    names = {"SERVER": studio.server.url, "LANGUAGE": studio.language}
    files = dict(FILES)
    for name, value in names.items():
        files = {path: text.replace(name, value) for path, text in files.items()}
    with Embedder(files, None) as site:
        for path in ("/", "/narrow", "/themed"):
            page = studio.browser.new_page()
            page.open(site.origin + path)
            wait_for(page, "/×/.test(find('.status').innerText)")
            name = f"widget{path.replace('/', '-').rstrip('-')}"
            studio.take(page, f"{name}-folded")
            page.evaluate(UNFOLD)
            studio.take(page, name)
            page.close()
        for path in ("/alone", "/around", "/asks"):
            page = studio.browser.new_page()
            page.open(site.origin + path)
            page.evaluate("await new Promise((next) => setTimeout(next, 3000))")
            studio.take(page, f"widget{path.replace('/', '-')}")
            page.close()


def offline(studio: Studio) -> None:
    """The server goes away under an open page, and with it what the benchmark needs."""
    page = studio.home()
    studio.server.stop()
    page.evaluate(CLICK, "#run")
    wait_for(page, "!find('#run').disabled", timeout=BOOT_SECONDS)
    wait_for(page, "find('#liveDot').className.includes('off')")
    studio.take(page, "state-offline", "#benchmark", "#live")
    page.close()
    studio.server.start()


SCENES: Mapping[str, Callable[[Studio], None]] = {
    "dashboard": dashboard,
    "home": home,
    "shared": shared,
    "words": words,
    "crash": crash,
    "widget": widget,
    "offline-first": offline_first,
    "offline-second": offline_second,
    "offline": offline,
}
