"""What the commands of operators have in common, whoever reads their words: a port, a shell.

A command, such as `async`, has tools, such as `status`. A tool takes words, and answers with a
plain value: dicts, lists, strings, numbers, datetimes, timedeltas. `words` reads the words,
`values` writes the answers as JSON.
"""

from zc.async_.commands import values, words
from zc.async_.commands.asking import BadQuestionError, NotThereError, UnreadableError
from zc.async_.commands.tools import Command, Tool

__all__ = [
    "BadQuestionError",
    "Command",
    "NotThereError",
    "Tool",
    "UnreadableError",
    "values",
    "words",
]
