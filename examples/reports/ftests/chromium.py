"""A real browser, if there is one."""

import os
import shutil
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import Select, WebDriverWait

from ftests.case import PATIENCE
from reports.installing import PASSWORD

#: The programs of Debian's packages.
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

#: Why there is no browser; None if there is one.
MISSING = (
    None if BROWSER and DRIVER else "no Chromium: as root, apt-get install chromium chromium-driver"
)


class Chromium:
    """Chromium without a window, as a user has it."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        options.add_argument("--headless=new")
        options.add_argument("--hide-scrollbars")
        # In containers that is often too small.
        options.add_argument("--disable-dev-shm-usage")
        if os.geteuid() == 0:
            # Its sandbox is not for root, as whom build machines run this.
            options.add_argument("--no-sandbox")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        self.driver.implicitly_wait(PATIENCE)

    def close(self) -> None:
        """End it."""
        self.driver.quit()

    def resize(self, width: int, height: int = 800) -> None:
        """Have a screen of this size, in pixels. A narrow one is that of a phone."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """Have a system that prefers 'light' or 'dark'."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def log_in(self, address: str, name: str) -> None:
        """Open a page as a user, by way of the form to log in."""
        self.driver.get(address)
        self.find("#login").send_keys(name)
        self.find("#password").send_keys(PASSWORD)
        self.click("main button")

    def ask(self, year: int, group_by: str) -> None:
        """Ask for a report."""
        Select(self.find("#year")).select_by_visible_text(str(year))
        Select(self.find("#group_by")).select_by_visible_text(group_by)
        self.click(".ask button")

    def find(self, selector: str) -> Any:
        """The first element of a CSS selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements of a CSS selector, at one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
        return list(self.driver.execute_script(script, selector))

    def click(self, selector: str) -> None:
        """Click something that leads to another page, and wait for that."""
        page = self.find("html")
        self.find(selector).click()
        # While one page takes the place of the other, Chromium's driver has errors of its own.
        wait = WebDriverWait(self.driver, PATIENCE, ignored_exceptions=[WebDriverException])
        wait.until(staleness_of(page))

    def complaints(self) -> list[str]:
        """What it has complained of since it was asked: errors of scripts, for example."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
