"""A real browser that looks at a site, by selenium: Chromium, as Debian has it.

Without either there is nothing to look with: see `why_not`.
"""

import contextlib
import shutil
from collections.abc import Iterator

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait

#: Pixels: a screen on a desk, and one in a hand.
WIDE, NARROW = (1280, 860), (390, 844)

#: What happens if a part of the page is replaced while one looks at it.
_GONE = (NoSuchElementException, StaleElementReferenceException)

#: Seconds that something may take to appear.
PATIENCE = 60


def why_not() -> str:
    """Why there is no browser; empty if there is one."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt install chromium chromium-driver)"
    return ""


@contextlib.contextmanager
def opened() -> Iterator[WebDriver]:
    """A browser without a window, in which nobody has logged in."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    # Containers have no other sandbox within their own, and little shared memory.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--hide-scrollbars")
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def look_as(browser: WebDriver, size: tuple[int, int] = WIDE, dark: bool = False) -> None:
    """Have a screen of some size, in light or dark colours."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == NARROW}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def fill_in(browser: WebDriver, **fields: str) -> None:
    """Fill in fields by their ids, and send the form of the last one."""
    for name, value in fields.items():
        field = browser.find_element(By.ID, name)
        field.clear()
        field.send_keys(value)
    field.submit()


def press(browser: WebDriver, text: str) -> None:
    """Press the first button, or link, with some text."""
    path = f"//main//*[self::button or self::a][contains(normalize-space(), '{text}')]"
    browser.find_element(By.XPATH, path).click()


def wait_for(browser: WebDriver, text: str, within: str = "main") -> None:
    """Wait until the page shows a text, without reloading it."""

    # In one step: between two, the page may have replaced what the first one found.
    script = "return document.querySelector(arguments[0])?.innerText ?? ''"

    def shows(browser: WebDriver) -> bool:
        return text in browser.execute_script(script, within)

    WebDriverWait(browser, PATIENCE, ignored_exceptions=_GONE).until(shows, f"no {text!r}")
