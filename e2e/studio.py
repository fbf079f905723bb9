"""Where pictures are taken: one browser and one language, every width in both schemes. axe looks at every state too."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from e2e.axe import violations
from e2e.drivers.base import wait_for
from e2e.drivers.playwright_driver import PlaywrightBrowser, PlaywrightPage
from e2e.server import Server

WIDTHS = (360, 768, 1440)
SCHEMES = ("light", "dark")
DRAWN = "document.querySelectorAll(a[0]).length > 0"
RESULTS = "#resultsTable tbody tr"
OVERFLOW = "return document.documentElement.scrollWidth - innerWidth"


@dataclass
class Studio:
    """`take` keeps what a page shows; the pictures lie in `out`."""

    browser: PlaywrightBrowser
    server: Server
    out: Path
    language: str
    seconds: int  # of measuring before the pictures
    pictures: list[Path] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # what axe found, and what is wider than the window

    def open(self, path: str = "", shown: str = "h1") -> PlaywrightPage:
        """A page of the server in this language, once it shows what `shown` selects."""
        page = self.browser.new_page()
        page.open(f"{self.server.url}{path}?lang={self.language}")
        wait_for(page, DRAWN, shown)
        return page

    def home(self) -> PlaywrightPage:
        return self.open("", RESULTS)

    def take(self, page: PlaywrightPage, name: str, *sections: str, before: str = "") -> None:
        """The page as a whole and section by section, at every width and scheme, `before` run at each."""
        for scheme in SCHEMES:
            for width in WIDTHS:
                page.look(width, color_scheme=scheme, reduced_motion="reduce")
                page.evaluate(f"{before}\nawait new Promise((next) => setTimeout(next, 200))")
                where = f"{name}-{self.language}-{width}-{scheme}"
                self.faults += [f"{where}: {found}" for found in violations(page)]
                if (wider := page.evaluate(OVERFLOW)) > 0:
                    self.faults.append(f"{where}: {wider} px wider than the window")
                for section in ("", *sections):
                    part = section.strip("#.").split(" ")[0].split(".")[0] or "whole"
                    path = self.out / f"{name}-{self.language}-{part}-{width}-{scheme}.png"
                    if section:
                        page.picture(section, path)
                    else:
                        page.screenshot(path)
                    self.pictures.append(path)
