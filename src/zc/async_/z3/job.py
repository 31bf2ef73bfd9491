"""The job that remembers who made it, and where."""

from collections.abc import Iterable
from typing import Any

import zope.component.hooks

import zc.async_.job
from zc.async_.z3 import contexts, participation, sites


class Job(zc.async_.job.Job):
    """A job that runs in the site, and with the participants, in which it was made.

    Otherwise see `zc.async_.interfaces.IJob`. The context is there from `setUp` on until the
    transaction of the try has ended, so hooks of the transaction have it, too. It is the whole
    context: what the thread had before, be it another site or another interaction, is set aside,
    and put back by `tearDown`, whatever the job has done with it. Callbacks have it if they are
    such jobs themselves: each has its own.

    A principal or a site that is not there any more makes the job fail, with a
    `MissingPrincipalError` or `MissingSiteError` that names it. If only the class of the site is
    missing, it waits, as for its callable.

    A coroutine has the context in each step, from one `await` to the next. It may run in another
    thread, so the site comes from a connection that is opened for the step: an object of it must
    not be kept for the next one, and what is changed by it and not committed in the step fails the
    job (`UncommittedError`). What is called for a Deferred that the job returned has no context.
    """

    # Both are not stored if they have these values.
    stored_site: Any = None
    stored_participants: tuple[str, ...] = ()
    #: Whether the site was in the tree of an application when it was set: see `sites`.
    site_was_in_tree = False

    def __init__(self, callable: Any, /, *args: Any, **kwargs: Any) -> None:
        """As `zc.async_.job.Job`. The context is that of this thread.

        Raises `UnstorableError` if the thread's site cannot be stored, as it is not persistent.
        """
        super().__init__(callable, *args, **kwargs)
        site = zope.component.hooks.getSite()
        if site is not None:
            self._set_site(site)
        ids = participation.present_ids()
        if ids:
            self.stored_participants = ids

    @property
    def site(self) -> Any:
        """The site in which the job runs, a persistent object; None for none.

        May be set until the job starts: BadStatusError then; TypeError for what is no site,
        `UnstorableError` for one that is not persistent. A security proxy is taken off.
        """
        return self.stored_site

    @site.setter
    def site(self, value: Any) -> None:
        self._must_not_have_started("the site")
        self._set_site(value)
        self._edited()

    def _set_site(self, value: Any) -> None:
        site = sites.as_site(value)
        in_tree = site is not None and sites.is_in_tree(site)
        self.stored_site = site
        if in_tree != self.site_was_in_tree:
            self.site_was_in_tree = in_tree

    @property
    def participants(self) -> tuple[str, ...]:
        """The ids of the principals that take part in the interaction in which the job runs.

        Empty: there is no interaction. May be set to any sequence of ids until the job starts:
        BadStatusError then; TypeError for what are no ids.
        """
        return self.stored_participants

    @participants.setter
    def participants(self, value: Iterable[str]) -> None:
        self._must_not_have_started("the participants")
        self.stored_participants = participation.as_ids(value)
        self._edited()

    @property
    def callable(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        # Whoever runs the job asks for it after `setUp`, and calls it.
        return contexts.to_call(self, super().callable)

    @callable.setter
    def callable(self, value: Any) -> None:
        zc.async_.job.Job.callable.fset(self, value)  # type: ignore[attr-defined]

    def detached_call(self, call: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """See `zc.async_.job.call.Call`. A method has the context, too."""
        found, args, kwargs = super().detached_call(call)
        return call if found is call else contexts.to_call(self, found), args, kwargs

    def setUp(self) -> Any:
        """See `zc.async_.interfaces.IJob`. Subclasses call this one, and `tearDown` likewise."""
        contexts.enter(self)

    def tearDown(self, setup_info: Any) -> None:
        """See `zc.async_.interfaces.IJob`."""
        contexts.leave(self)

    def leave_thread(self) -> None:
        """Take the context down, though a subclass did not come to it."""
        contexts.leave(self)
