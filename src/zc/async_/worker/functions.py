"""Finds the functions of the application that the settings name."""

import importlib
import traceback
from collections.abc import Callable
from typing import Any

from zc.async_.interfaces import AsyncError
from zc.async_.worker import SettingsError
from zc.async_.worker.messages import shortened
from zc.twist.showing import text_of


def find(name: str, setting: str) -> Callable[..., Any]:
    """The function MODULE:FUNCTION that a setting names.

    Raises SettingsError if there is none, or if its module cannot be imported.
    """
    module_name, _, path = name.partition(":")
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise SettingsError(
                f"{setting} is {name}, and there is no module {error.name}: correct the name, or "
                "have PYTHONPATH name its folder (the working directory is searched, too)"
            ) from error
        raise SettingsError(_failed(f"{setting} is {name}, whose module", error)) from error
    except (Exception, SystemExit) as error:
        raise SettingsError(_failed(f"{setting} is {name}, whose module", error)) from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise SettingsError(
                f"{setting} is {name}, and the module {module_name} has no {path}: correct the name"
            ) from None
    if not callable(found):
        raise SettingsError(f"{setting} is {name}, which is no function: name one")
    return found


def _failed(what: str, error: BaseException) -> str:
    return f"{what} cannot be imported: {told_with_place(error)}"


def told_to_people(error: BaseException) -> str:
    """An error in a line: its text if that is for people, else also where it was raised."""
    if isinstance(error, AsyncError):
        return shortened(" ".join(text_of(error).split()))
    return told_with_place(error)


def told(error: BaseException) -> str:
    """An error in a line: its class and its text."""
    kind, text = type(error).__name__, " ".join(text_of(error).split())
    return shortened(f"{kind}: {text}" if text else kind)


def told_with_place(error: BaseException) -> str:
    """An error in a line: its class, its text, and where it was raised."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if "importlib" not in frame.f_code.co_filename:
            place = f" ({frame.f_code.co_filename}, line {line})"
    return told(error) + place
