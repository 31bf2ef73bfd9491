"""How the index is followed: for managers."""

import grok

from mypypi import configuration, jobs
from mypypi.app import MyPyPI
from mypypi.browser.base import Action, Page
from mypypi.permissions import Manage
from zc.async_.interfaces import IQueue

grok.templatedir("templates")


class Following(Page):
    """How the index is followed."""

    grok.context(MyPyPI)
    grok.require(Manage)
    grok.template("following")

    title = "Following the index"

    def update(self) -> None:
        super().update()
        self.options = configuration.read()
        self.follower = self.context.follower
        self.queue = IQueue(self.context)

    @property
    def buttons(self) -> list[tuple[str, str]]:
        """Names of views, and what is on their buttons."""
        if self.follower.is_going_on:
            return [("hurry", "Look now"), ("stop", "Stop following")]
        return [("start", "Follow the index")]

    @property
    def quotas(self) -> list[tuple[str, int, int]]:
        """Names, how many jobs run, and how many may."""
        names = [name for name in jobs.SIZES if name in self.queue.quotas]
        quotas = [self.queue.quotas[name] for name in names]
        return [(quota.name, len(quota), quota.size) for quota in quotas]


class Hurry(Action):
    """Has the index looked at now."""

    grok.context(MyPyPI)
    grok.require(Manage)

    def act(self) -> str:
        self.context.follower.hurry()
        return self.address(self.context, "following", said="hurried")


class Start(Action):
    grok.context(MyPyPI)
    grok.require(Manage)

    def act(self) -> str:
        self.context.follower.start()
        return self.address(self.context, "following", said="started")


class Stop(Action):
    grok.context(MyPyPI)
    grok.require(Manage)

    def act(self) -> str:
        self.context.follower.stop()
        return self.address(self.context, "following", said="stopped")
