"""Makes the pictures of README.rst, from the running application.

`python -m mypypi_demo.screenshots FOLDER` starts all of it, and goes through the pages.
"""

import argparse
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from selenium.webdriver.remote.webdriver import WebDriver

from mypypi_demo import browsing
from mypypi_demo.browsing import NARROW, WIDE, fill_in, look_as, press, wait_for
from mypypi_demo.processes import Site

#: Bytes that a picture may have.
LARGEST = 150_000

#: Those that README.rst shows.
SHOWN = (
    "package-wide",
    "package-narrow-dark",
    "front-wide-dark",
    "notices-narrow",
    "search-wide",
)

PACKAGES = ("lunar-parser", "brisk-ledger", "gentle-needle", "amber-calendar")


class Photographer:
    """Goes through the application like a person, and makes pictures."""

    def __init__(self, browser: WebDriver, site: Site, folder: Path, wants_all: bool) -> None:
        self.browser = browser
        self.site = site
        self.home = site.instances[0].address + "/mypypi"
        self.folder = folder
        self.wants_all = wants_all

    def go(self, path: str = "") -> None:
        self.browser.get(self.home + path)

    def shoot(self, name: str) -> None:
        """Make pictures of a page: wide and narrow, light and dark."""
        for size, width in ((WIDE, "wide"), (NARROW, "narrow")):
            for dark in (False, True):
                kind = f"{name}-{width}{'-dark' if dark else ''}"
                if not self.wants_all and kind not in SHOWN:
                    continue
                look_as(self.browser, size, dark)
                path = self.folder / f"{kind}.png"
                self.browser.save_screenshot(str(path))
                if path.stat().st_size > LARGEST:
                    raise RuntimeError(f"{path} has more than {LARGEST} bytes")
        look_as(self.browser)

    def publish(self, name: str) -> None:
        """Have the index release a version."""
        form = urllib.parse.urlencode({"name": name}).encode()
        urllib.request.urlopen(f"{self.site.index.address}/control/publish", form, timeout=30)

    def subscribe(self, name: str, text: str = "Releases") -> None:
        self.go(f"/packages/find?name={name}")
        press(self.browser, "Ask the index for it")
        wait_for(self.browser, text)
        press(self.browser, "Subscribe")
        wait_for(self.browser, "Unsubscribe")

    def attach(self, link: str) -> None:
        press(self.browser, f"Attach {link}")
        wait_for(self.browser, f"{link.lower()}\nfetched")

    def go_through_it(self) -> None:
        """All of it."""
        self.as_visitor()
        self.as_member()
        press_log_out(self.browser)
        self.as_manager()

    def as_visitor(self) -> None:
        self.go()
        self.shoot("front-empty")
        self.go("/packages/find?name=no+name")
        self.shoot("find-problem")
        self.go("/packages/find?name=lunar-rocket")
        self.shoot("find")
        self.go("/nothing")
        self.shoot("error")
        self.go("/search?q=the")
        self.shoot("search-problem")
        self.go("/login")
        fill_in(self.browser, name="anna", password="a wrong password")
        wait_for(self.browser, "There is nobody")
        self.shoot("login-problem")

    def as_member(self) -> None:
        self.go("/join")
        self.shoot("join")
        fill_in(self.browser, name="anna", password="a long password")
        wait_for(self.browser, "Welcome")
        self.shoot("notices-empty")
        self.subscribe("lunar-rocket", "The index does not know")
        self.shoot("package-missing")
        for name in PACKAGES:
            self.subscribe(name)
            self.attach("Documentation")
        self.attach("Changes")
        self.shoot("package")
        fill_in(self.browser, url="http://127.0.0.1:1/")
        wait_for(self.browser, "not on the public internet")
        self.shoot("package-refused")
        fill_in(self.browser, url="http://a:b@example.com/")
        wait_for(self.browser, "Not attached")
        self.shoot("package-problem")
        for name in (*PACKAGES, PACKAGES[0]):
            self.publish(name)
        self.go("/me")
        wait_for(self.browser, f"{PACKAGES[3]} has released")
        self.shoot("notices")
        self.go()
        self.shoot("front")
        self.go("/search?q=parsing+OR+ledger")
        self.shoot("search")
        self.go("/packages")
        self.shoot("packages")
        self.browser.get(self.site.index.address)
        self.shoot("index")
        self.go()

    def as_manager(self) -> None:
        self.go("/login")
        fill_in(self.browser, name="manager", password=self.site.password)
        wait_for(self.browser, "Welcome")
        self.go("/following")
        self.shoot("following")


def press_log_out(browser: WebDriver) -> None:
    """Log out, by the button above."""
    browser.find_element("css selector", "nav form button").click()
    wait_for(browser, "You have logged out")


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description="Make pictures of My PyPI.")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--all", action="store_true", help="of all pages, for who changes them")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), interval="1s")
        try:
            site.start()
            with browsing.opened() as browser:
                look_as(browser)
                Photographer(browser, site, arguments.folder, arguments.all).go_through_it()
        finally:
            site.stop()


if __name__ == "__main__":
    main()
