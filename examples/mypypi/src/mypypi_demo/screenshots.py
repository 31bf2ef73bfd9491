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

PACKAGES = ("lunar-parser", "brisk-ledger", "gentle-needle", "amber-calendar")


class Photographer:
    """Goes through the application like a person, and makes pictures."""

    def __init__(self, browser: WebDriver, site: Site, folder: Path) -> None:
        self.browser = browser
        self.site = site
        self.home = site.instances[0].address + "/mypypi"
        self.folder = folder

    def go(self, path: str = "") -> None:
        self.browser.get(self.home + path)

    def shoot(self, name: str) -> None:
        """Make the four pictures of a page: wide and narrow, light and dark."""
        for size, width in ((WIDE, "wide"), (NARROW, "narrow")):
            for dark in (False, True):
                look_as(self.browser, size, dark)
                path = self.folder / f"{name}-{width}{'-dark' if dark else ''}.png"
                self.browser.save_screenshot(str(path))
                if path.stat().st_size > LARGEST:
                    raise RuntimeError(f"{path} has more than {LARGEST} bytes")
        look_as(self.browser)

    def publish(self, name: str) -> None:
        """Have the index release a version."""
        form = urllib.parse.urlencode({"name": name}).encode()
        urllib.request.urlopen(f"{self.site.index.address}/control/publish", form, timeout=30)

    def subscribe(self, name: str) -> None:
        self.go(f"/packages/find?name={name}")
        press(self.browser, "Ask the index for it")
        wait_for(self.browser, "Releases")
        press(self.browser, "Subscribe")
        wait_for(self.browser, "Unsubscribe")

    def attach(self, link: str) -> None:
        press(self.browser, f"Attach {link}")
        wait_for(self.browser, f"{link.lower()}\nfetched")

    def go_through_it(self) -> None:
        """All of it."""
        self.go("/join")
        self.shoot("join")
        fill_in(self.browser, name="anna", password="a long password")
        wait_for(self.browser, "Welcome")
        for name in PACKAGES:
            self.subscribe(name)
            self.attach("Documentation")
        self.attach("Changes")
        self.shoot("package")
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
        press_log_out(self.browser)
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
    """Make all pictures."""
    parser = argparse.ArgumentParser(description="Make pictures of My PyPI.")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), interval="1s")
        try:
            site.start()
            with browsing.opened() as browser:
                look_as(browser)
                Photographer(browser, site, arguments.folder).go_through_it()
        finally:
            site.stop()


if __name__ == "__main__":
    main()
