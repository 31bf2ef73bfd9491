"""Makes the pictures of README.rst, of the running application: `python screenshots.py`.

Needs what the functional tests need. Each picture is looked at before it is committed.
"""

import sys
import tempfile
from pathlib import Path

from ftests.case import wait_until
from ftests.chromium import MISSING, Chromium
from reports.instance import Cluster

PICTURES = Path(__file__).with_name("pictures")

#: Bytes that a picture may have, since a repository keeps each one for ever.
MOST = 150_000

WIDE, NARROW = (1100, 780), (390, 780)


def main() -> None:
    """Start the application, use it, and take pictures."""
    if MISSING:
        sys.exit(MISSING)
    browser = Chromium()
    with tempfile.TemporaryDirectory(prefix="reports-") as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start_zeo_server()
            address = cluster.start_web_process(0)
            cluster.start_worker("worker-1")
            take_pictures(browser, address)
        finally:
            browser.close()
            cluster.stop()


def take_pictures(browser: Chromium, address: str) -> None:
    """Be Alice, and then the manager."""
    browser.resize(*WIDE)
    browser.log_in(address, "alice")
    browser.ask(2025, "region")
    browser.ask(2023, "product")
    wait_until(lambda: browser.texts("#jobs .badge") == ["failed", "finished"])
    for group_by in ("month", "product", "region"):
        browser.ask(2024, group_by)
    wait_until(lambda: max(percents(browser)) > 40)
    take(browser, "desk")
    browser.prefer("dark")
    browser.resize(*NARROW)
    take(browser, "desk-narrow-dark")
    browser.prefer("light")
    browser.resize(*WIDE)
    browser.click("#jobs li:last-child a")
    take(browser, "report")
    browser.click(".who button")
    browser.log_in(f"{address}reports/alice", "manager")
    browser.click("#jobs li:nth-last-child(2) a")
    take(browser, "failure")


def percents(browser: Chromium) -> list[int]:
    """How far the reports are."""
    return [0, *(int(text.rstrip(" %")) for text in browser.texts("#jobs progress + span"))]


def take(browser: Chromium, name: str) -> None:
    """Take a picture."""
    picture = browser.driver.get_screenshot_as_png()
    if len(picture) > MOST:
        sys.exit(f"the picture {name} has {len(picture):,} bytes; {MOST:,} are too many already")
    (PICTURES / f"{name}.png").write_bytes(picture)
    print(f"{name}.png: {len(picture):,} bytes")


if __name__ == "__main__":
    main()
