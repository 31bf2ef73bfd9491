"""The site and the interaction of a thread: kept, put in place, and put back."""

from typing import Any

import zope.component.hooks
from zope.component.hooks import siteinfo
from zope.security.management import endInteraction, newInteraction, thread_local

from zc.async_.z3 import participation, sites

#: Where `zope.security` keeps the interaction of a thread, and the one that
#: `restoreInteraction` would bring back.
_INTERACTIONS = ("interaction", "previous_interaction")


class Surroundings:
    """What the thread that makes this has, to be put back by the same thread."""

    def __init__(self) -> None:
        self._site = siteinfo.site
        self._site_manager = siteinfo.sm
        present = vars(thread_local)
        self._interactions = {name: present[name] for name in _INTERACTIONS if name in present}

    def restore(self) -> None:
        """Put all back, whatever has happened to it meanwhile. Raises nothing."""
        # Not by `setSite`, which asks the site for its manager: that may have to be loaded, and in
        # a database that is out of reach would leave the wrong site behind.
        siteinfo.site = self._site
        siteinfo.sm = self._site_manager
        vars(siteinfo).pop("adapter_hook", None)
        for name in _INTERACTIONS:
            vars(thread_local).pop(name, None)
        vars(thread_local).update(self._interactions)


def establish(site: Any, was_in_tree: bool, principal_ids: tuple[str, ...]) -> None:
    """Have the thread be in a site, with these participants, and with nothing else.

    Args:
        site: an object of a connection that this thread may use; None for no site.
        was_in_tree: see `sites.check_is_there`.
        principal_ids: of the participants; if there are none, there is no interaction.

    Raises `MissingSiteError`, `MissingPrincipalError` or `MissingCallableError`, and what the
    database does. Then the thread may be anywhere: restore what it had.
    """
    # Twice: the second time also what the first keeps for `restoreInteraction` is forgotten.
    endInteraction()
    endInteraction()
    zope.component.hooks.setSite(None)
    if site is not None:
        sites.check_is_there(site, was_in_tree)
        # Else nobody would see the site's components. Processes without a site see no difference.
        zope.component.hooks.setHooks()
        zope.component.hooks.setSite(site)
    if principal_ids:
        newInteraction(*map(participation.of, principal_ids))
