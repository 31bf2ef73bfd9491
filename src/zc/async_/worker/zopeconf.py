"""Opens the databases of a site of Zope, or of `zope.app.wsgi`, as that does it itself.

The site's own policy would start a dispatcher; the worker starts one by its own settings.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

import zope.component

import zc.async_.subscribers
from zc.async_ import productconfig
from zc.async_.worker import SettingsError
from zc.async_.worker.functions import told_with_place

#: What only a file of `zope.app.wsgi` has.
_SITE_DEFINITION = re.compile(r"^\s*site-definition\s", re.IGNORECASE | re.MULTILINE)


def open_site(path: str) -> Any:
    """Configure the site, and return its main database.

    Raises SettingsError. If a database is out of reach, that is the cause of the error; another
    process may try again, since this one has a site that is half made.
    """
    is_of_wsgi = _SITE_DEFINITION.search(_read(path)) is not None
    with _without_dispatcher():
        try:
            database = _open_wsgi(path) if is_of_wsgi else _open_zope(path)
        except SettingsError:
            raise
        except (Exception, SystemExit) as error:
            raise SettingsError(
                f"cannot open the site of {path}: {told_with_place(error)}"
            ) from error
    # Its agent belongs to its dispatcher. Others, which the application has, stay.
    zope.component.getGlobalSiteManager().unregisterHandler(zc.async_.subscribers.agent_installer)
    return database


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        raise SettingsError(
            f"cannot read the file {path}: {error.strerror or error}: name another with --zope-conf"
        ) from None


@contextlib.contextmanager
def _without_dispatcher() -> Iterator[None]:
    name = productconfig.ENVIRONMENT_VARIABLE
    before = os.environ.get(name)
    os.environ[name] = "off"
    try:
        yield
    finally:
        # Not for programs that jobs start.
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _open_zope(path: str) -> Any:
    try:
        import Zope2
        from Zope2.Startup.run import configure_wsgi
    except ImportError as error:
        raise _missing(path, "Zope", error) from error
    configure_wsgi(path)
    Zope2.startup_wsgi()
    return Zope2.DB


def _open_wsgi(path: str) -> Any:
    try:
        import zope.app.wsgi
    except ImportError as error:
        raise _missing(path, "zope.app.wsgi", error) from error
    return zope.app.wsgi.config(path)


def _missing(path: str, package: str, error: ImportError) -> SettingsError:
    return SettingsError(
        f"the site of {path} needs the package {package}, which cannot be imported ({error}): "
        "start the worker with the Python of the site"
    )
