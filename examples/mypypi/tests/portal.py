"""The application, as tests see it and press its buttons."""

import transaction
import zope.testbrowser.wsgi
from zope.app.appsetup.product import setProductConfiguration
from zope.component.hooks import site

from zc.async_.interfaces import PENDING, IQueue
from zc.async_.testing import wait_until

#: Seconds that a job is given on a busy machine.
PATIENCE = 60

PASSWORD = "a long password"

#: The address of the application, as the browsers of tests see it.
HOME = "http://localhost/mypypi"


def configure(index: str, **values: str) -> None:
    """Have the configuration file say something."""
    section = {"index": index, "interval": "1h", "timeout": "5s", "manager-password": PASSWORD}
    setProductConfiguration("mypypi", {**section, **values})


class Portal:
    """The application, as a test sees it."""

    def __init__(self, layer):
        self._layer = layer

    @property
    def application(self):
        """It, as it is now. What the test changes is in its transaction."""
        return self._layer.getRootFolder()["mypypi"]

    @property
    def queue(self):
        return IQueue(self.application)

    @property
    def follower(self):
        return self.application.follower

    def look_again(self):
        """See what others have committed."""
        transaction.begin()

    def wait_until(self, look, message="it never came to that"):
        """Wait until `look()` is true, in a new transaction each time."""

        def look_anew():
            self.look_again()
            return look()

        wait_until(look_anew, PATIENCE, message)

    def wait_for_jobs(self):
        """Wait until no job is left but the next look at the index, which is to come later."""

        def is_quiet():
            agents = [agent for them in self.queue.dispatchers.values() for agent in them.values()]
            due = [job for job in self.queue if job is not self.follower.job]
            return not any(map(len, agents)) and not due

        self.wait_until(is_quiet, "there always was a job")

    def package(self, name):
        """A package, which the index has been asked for."""
        with site(self.application):
            package = self.application["packages"].ensure(name)
        transaction.commit()
        self.wait_for_jobs()
        return package

    def follow(self):
        """Have the index looked at, and wait until all is done about it."""
        with site(self.application):
            if self.follower.is_going_on:
                self.follower.hurry()
            else:
                self.follower.start()
        turn = self.follower.turn
        transaction.commit()
        self.wait_until(lambda: self.follower.turn > turn and self.follower.job.status == PENDING)
        self.wait_for_jobs()

    def browser(self, login=None):
        """A browser that is at the first page; somebody has logged in by it, who may be new."""
        browser = zope.testbrowser.wsgi.Browser(wsgi_app=self._layer.make_wsgi_app())
        browser.open(HOME)
        if login is not None:
            is_new = login not in self.application["people"]
            browser.open(f"{HOME}/{'join' if is_new else 'login'}")
            browser.getControl("Name").value = login
            browser.getControl("Password").value = PASSWORD
            browser.getControl("Log in" if not is_new else "Join", index=-1).click()
        return browser
