"""A dispatcher on a virtual reactor, and a database with a queue."""

from tests.dispatcher.conftest import *  # noqa: F403
