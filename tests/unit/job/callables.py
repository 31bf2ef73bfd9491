"""What jobs and their callbacks call in these tests."""

from tests.unit import calls


def ok():
    return "200 OK"


def scribble(text):
    return f"{text}: SCRIBBLED"


def handle(failure):
    """A callback for failures, which takes this one for handled."""
    failure.trap(ValueError)
    return "handled"


def note(name, result):
    calls.happened.append((name, result))


def note_and_fail(name, result):
    note(name, result)
    raise ValueError("it failed")
