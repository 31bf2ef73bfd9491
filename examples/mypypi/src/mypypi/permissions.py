"""What people may do: visitors read, members use the application, and managers run it.

Who has logged in is a member, by a grant in configure.zcml. Managers have a role in the
application.
"""

from typing import Any

import grok
from zope.securitypolicy.interfaces import IPrincipalRoleManager

from mypypi.people import Person
from mypypi.sessions import Principal


class Use(grok.Permission):
    """To subscribe to packages and to attach pages."""

    grok.name("mypypi.Use")


class Manage(grok.Permission):
    """To see how the index is followed, to stop that, and to remove what others have attached."""

    grok.name("mypypi.Manage")


class Manager(grok.Role):
    """Runs the application."""

    grok.name("mypypi.Manager")
    grok.permissions(Manage)


def make_manager(application: Any, person: Person) -> None:
    """Have a person manage an application."""
    roles = IPrincipalRoleManager(application)
    roles.assignRoleToPrincipal("mypypi.Manager", Principal(person).id)
