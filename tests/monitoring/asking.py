"""How tests ask: as the line protocol does, without a network."""

import json

from zc.async_.commands import Command


class Answer:
    """Takes what a command writes; see `zc.monitor.interfaces.IMonitorConnection`."""

    def __init__(self, interactive=False):
        self.interactive = interactive
        self.pieces = []

    def write(self, text):
        assert isinstance(text, str)
        self.pieces.append(text)

    @property
    def text(self):
        return "".join(self.pieces)


def ask(command, line, interactive=False):
    """The text that a line is answered with, without the end of its last line."""
    answer = Answer(interactive)
    perform = command.perform if isinstance(command, Command) else command
    if isinstance(command, Command):
        perform(answer, line.split())
    else:
        perform(answer, *line.split())
    assert answer.text.endswith("\n")
    assert "Traceback (most recent" not in answer.text or line.startswith("traceback")
    return answer.text[:-1]


def told(command, line):
    """The value that a line is answered with."""
    return json.loads(ask(command, line))


def error(command, line):
    """What a line is told to be wrong with, in brackets and in one line."""
    text = ask(command, line)
    assert text[0] == "["
    assert text[-1] == "]"
    assert "\n" not in text
    assert text.isprintable()
    return text[1:-1]
