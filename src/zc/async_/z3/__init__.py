"""Jobs that run in the site, and with the participants, of whoever made them.

For applications with the components of Zope. Needs the packages of the extra `z3`.
"""

try:
    import zope.authentication.interfaces
    import zope.location.interfaces
    import zope.security.management  # noqa: F401
except ImportError as error:
    raise ImportError(f'{error}: pip install "zc.async[z3]"', name=error.name) from error

from zc.async_.storing import record_as
from zc.async_.z3.job import Job
from zc.async_.z3.participation import MissingPrincipalError, Participation
from zc.async_.z3.sites import MissingSiteError, UnloadableSiteError
from zc.async_.z3.steps import UncommittedError

__all__ = [
    "Job",
    "MissingPrincipalError",
    "MissingSiteError",
    "Participation",
    "UncommittedError",
    "UnloadableSiteError",
]

# What databases know by name, results that are failures among them. A name that is here once stays.
record_as(
    __name__,
    Job,
    MissingPrincipalError,
    MissingSiteError,
    UncommittedError,
    UnloadableSiteError,
)
