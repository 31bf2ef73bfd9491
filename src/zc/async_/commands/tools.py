"""Commands and their tools: from the words of a line to the text of an answer."""

import contextlib
import inspect
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from zc.async_ import utils
from zc.async_.commands import values, words
from zc.async_.commands.asking import BadQuestionError
from zc.async_.interfaces import AsyncError
from zc.twist.showing import cut, text_of

#: Reads the words of a tool that are no modifiers.
Positional = Callable[[Sequence[str]], list[Any]]
#: Reads the value of a modifier.
Reader = Callable[[str], Any]
#: Opens what the functions of all tools of a command are given first.
Opener = Callable[[], contextlib.AbstractContextManager[tuple[Any, ...]]]


class Tool:
    """A function that is called with what its words mean.

    Its documentation is the help: for whoever types the words.
    """

    def __init__(
        self, function: Callable[..., Any], positional: Positional, modifiers: Mapping[str, Reader]
    ) -> None:
        """`modifiers`: the names, each with what reads its value."""
        self.name = function.__name__
        self.function = function
        self.positional = positional
        self.modifiers = modifiers

    @property
    def documentation(self) -> str:
        """All of the help."""
        return inspect.getdoc(self.function) or ""

    @property
    def first_line(self) -> str:
        """What it is for."""
        return self.documentation.partition("\n")[0]

    def read(self, given: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
        """What words mean: arguments and keyword arguments. Raises `BadQuestionError`."""
        options: dict[str, Any] = {}
        rest = []
        for word in given:
            key, colon, text = word.partition(":")
            if not colon:
                rest.append(word)
                continue
            if key not in self.modifiers:
                raise BadQuestionError(f"{words.quoted(word)} is no modifier: {self._known()}")
            if key in options:
                raise BadQuestionError(f"{key}: is given twice")
            try:
                options[key] = self.modifiers[key](text)
            except BadQuestionError as error:
                raise BadQuestionError(f"{key}: {error}") from error
        return self.positional(rest), options

    def _known(self) -> str:
        if not self.modifiers:
            return f"{self.name} takes none"
        return f"{self.name} takes {', '.join(f'{key}:' for key in self.modifiers)}"


class Command:
    """Some tools under one name. For any thread."""

    def __init__(self, name: str, opener: Opener | None = None) -> None:
        """`opener`: gives the first arguments of all tools; none by default."""
        self.name = name
        self._opener = opener or _nothing
        self._tools: dict[str, Tool] = {}

    def tool(
        self, positional: Positional = words.none, /, **modifiers: Reader
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Make a tool of the function that this decorates, by its name."""

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            tool = Tool(function, positional, modifiers)
            self._tools[tool.name] = tool
            return function

        return decorate

    def perform(self, connection: Any, given: Sequence[str]) -> None:
        """Write the answer to words to a `zc.monitor.interfaces.IMonitorConnection`."""
        answer = self.answer(given, bool(getattr(connection, "interactive", False)))
        with contextlib.closing(answer):
            # If the client is gone, what was opened for the answer is closed at once.
            for piece in answer:
                connection.write(piece)

    def answer(self, given: Sequence[str], is_interactive: bool = False) -> Generator[str]:
        """The answer to words, in pieces: that of a tool, or in brackets what is wrong.

        `is_interactive`: whether somebody is there to read more than scripts expect. Raises only
        what ends a thread or process.
        """
        tool = self._tools.get(given[0]) if given else None
        if not given or given[0] == "help":
            yield self._help(given[1:]) + "\n"
        elif tool is None:
            yield self._unknown(given[0], is_interactive) + "\n"
        else:
            yield from self._ask(tool, given[1:])

    def _ask(self, tool: Tool, given: Sequence[str]) -> Iterator[str]:
        try:
            arguments, options = tool.read(given)
            with self._opener() as first:
                yield from values.pieces(tool.function(*first, *arguments, **options))
        except AsyncError as error:
            yield f'[{cut(text_of(error))}. Try "{self.name} help {tool.name}"]\n'
        except utils.DISCONNECTED_ERRORS as error:
            yield f"[The database is out of reach: {cut(utils.told(error))}]\n"
        except Exception as error:
            utils.log.error("%s %s failed", self.name, tool.name, exc_info=True)
            yield f"[{tool.name} failed, see the log: {cut(utils.told(error))}]\n"

    # -- help

    def _unknown(self, name: str, is_interactive: bool) -> str:
        answer = f"[Unknown tool name for this command: {cut(name, words.QUOTED)}]"
        if is_interactive:
            answer += f"\n[The tools are: {', '.join(self._names())}]"
        return answer

    def _names(self) -> list[str]:
        return sorted([*self._tools, "help"])

    def _help(self, given: Sequence[str]) -> str:
        if not given:
            return "\n".join(self._overview())
        if given[0] == "help":
            return _HELP.format(name=self.name)
        tool = self._tools.get(given[0])
        return self._unknown(given[0], True) if tool is None else tool.documentation

    def _overview(self) -> Iterator[str]:
        yield f"Usage: {self.name} TOOL [WORD...] [MODIFIER:VALUE...]"
        yield f'Try "{self.name} help TOOL" for all about one of these tools:'
        for name in self._names():
            text = _HELP if name == "help" else self._tools[name].first_line
            yield f"{name}: {text.partition(chr(10))[0]}"


_HELP = """\
List the tools, or explain one.

    {name} help [TOOL]"""


@contextlib.contextmanager
def _nothing() -> Iterator[tuple[Any, ...]]:
    yield ()
