"""Failures that can always be stored and loaded."""

import importlib
import io
import pickle
import sys
import threading

import persistent
import pytest
import transaction
import twisted.internet.defer
import twisted.python.failure
import twisted.python.log
import ZODB
import ZODB._compat
import ZODB.broken

import zc.async_.interfaces
import zc.twist
import zc.twist.failure

#: Written by zc.async 1.5.4 on Python 2.7 with Twisted 13.2: `1 / 0` in a job.
PYTHON_2_PICKLE = (
    b"(czc.twist\nFailure\nq\x04oq\x05}q\x06(U\x05countq\x07K\x05U\x0bcaptureVarsq\x08I00\n"
    b"U\x02tbq\tNU\x07pickledq\nK\x01U\x05valueq\x0bcexceptions\nZeroDivisionError\nq\x0c"
    b'(U"integer division or modulo by zeroq\rtq\x0eRq\x0fU\x07parentsq\x10]q\x11('
    b"U\x1cexceptions.ZeroDivisionErrorq\x12U\x1aexceptions.ArithmeticErrorq\x13"
    b"U\x18exceptions.StandardErrorq\x14U\x14exceptions.Exceptionq\x15"
    b"U\x18exceptions.BaseExceptionq\x16U\x12__builtin__.objectq\x17eU\x06framesq\x18]q\x19("
    b"]q\x1a(U\x08__call__q\x1bU\x14site/zc/async/job.pyq\x1cMU\x02]q\x1d]q\x1ee]q\x1f("
    b'U\x06divideq U\x15legacyapp/__init__.pyq!K\x0b]q"]q#eeU\tsanitizedq$I01\n'
    b"U\x04typeq%h\x0cU\x05stackq&]ub."
)


class Unpicklable(Exception):
    """Holds a lock."""

    def __init__(self, text="locked"):
        super().__init__(text)
        self.lock = threading.Lock()


class TwoArguments(Exception):
    """Can be pickled, but not loaded."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Wrapping(Exception):
    """Would wrap its message anew with each loading."""

    def __init__(self, text):
        super().__init__(f"<{text}>")


class BadText(Exception):
    """Has no text."""

    def __str__(self):
        raise RuntimeError("no text")


class Reducing(Exception):
    """Raises when it is pickled."""

    def __reduce__(self):
        raise KeyError("no")


class Record(persistent.Persistent):
    """Something in a database."""


def failure_of(error, **options):
    """Return a Failure made where `error` is handled."""
    try:
        raise error
    except BaseException:
        return zc.twist.Failure(**options)


def stored(obj):
    """Return `obj` as a database would give it to another process."""
    db = ZODB.DB(None)
    try:
        with db.transaction() as jar:
            jar.root()["obj"] = obj
        db.cacheMinimize()
        with db.transaction() as jar:
            jar.cacheMinimize()
            result = jar.root()["obj"]
        assert result is not obj
        return result
    finally:
        db.close()


def test_a_failure_tells_what_happened_after_it_was_stored():
    failure = failure_of(NameError("name 'foo' is not defined"))
    assert repr(failure) == "<zc.twist.Failure builtins.NameError>"
    loaded = stored(failure)
    assert repr(loaded) == "<zc.twist.Failure builtins.NameError>"
    assert type(loaded) is zc.twist.Failure
    assert isinstance(loaded, twisted.python.failure.Failure)
    assert loaded.type is NameError
    assert loaded.value.args == ("name 'foo' is not defined",)
    assert loaded.getErrorMessage() == "name 'foo' is not defined"
    assert loaded.tb is None
    assert loaded.getTraceback() == failure.getTraceback()


def test_the_traceback_reads_as_the_interpreters():
    lines = stored(failure_of(NameError("who?"))).getTraceback().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith(f'  File "{__file__}", line ')
    assert lines[1].endswith(", in failure_of")
    assert lines[2].strip() == "raise error"
    assert lines[3:] == ["builtins.NameError: who?"]


def test_the_traceback_of_a_failure_without_frames_has_two_lines():
    failure = zc.twist.Failure(zc.async_.interfaces.TimeoutError("too late"))
    for each in (failure, stored(failure)):
        assert each.getTraceback() == (
            "Traceback (most recent call last):\nzc.async_.interfaces.TimeoutError: too late\n"
        )
    empty = zc.twist.Failure(zc.async_.interfaces.TimeoutError())
    assert empty.getTraceback().endswith("\nzc.async_.interfaces.TimeoutError: \n")


def test_the_brief_traceback_has_a_line_for_each_frame():
    lines = stored(failure_of(NameError("who?"))).getBriefTraceback().splitlines()
    assert lines[0] == "Traceback: builtins.NameError: who?"
    assert lines[1].startswith(f"{__file__}:")
    assert lines[1].endswith(":failure_of")
    assert len(lines) == 2
    no_frames = zc.twist.Failure(NameError("who?")).getBriefTraceback()
    assert no_frames == "Traceback (failure with no frames): builtins.NameError: who?\n"
    assert str(failure_of(NameError("who?"))).startswith("[Failure instance: Traceback: builtins.")


def test_the_verbose_traceback_has_local_variables_only_if_they_were_captured():
    def divide(dividend):
        secret = "local"
        return dividend / len(secret[:0])

    def fail(**options):
        try:
            divide(42)
        except ZeroDivisionError:
            return zc.twist.Failure(**options)

    with_variables = stored(fail(captureVars=True)).getTraceback(detail="verbose")
    assert "  dividend : '42'" in with_variables
    assert "secret" in with_variables
    # Those of modules are not kept.
    assert "PYTHON_2_PICKLE" not in with_variables
    without = stored(fail()).getTraceback(detail="verbose")
    assert "42" not in without
    assert "Capture of Locals and Globals disabled" in without


def test_captured_variables_are_cut_and_may_have_a_faulty_repr():
    class Faulty:
        def __repr__(self):
            raise RuntimeError("no")

    def fail():
        long, faulty, lock = "x" * 100_000, Faulty(), threading.Lock()
        raise ValueError(len(long), str(type(faulty)), str(type(lock)))

    try:
        fail()
    except ValueError:
        failure = zc.twist.Failure(captureVars=True)
    names = {name: text for frame in stored(failure).frames for name, text in frame[3]}
    assert len(names["long"]) == zc.twist.showing.MAX_LENGTH
    assert "Faulty" in names["faulty"]
    assert "lock" in names["lock"]


def test_a_traceback_is_written_to_twisteds_log_by_default(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(twisted.python.log, "logerr", file)
    zc.twist.Failure(NameError("who?")).printTraceback()
    assert file.getvalue().endswith("builtins.NameError: who?\n")


def test_an_unknown_detail_is_refused():
    with pytest.raises(ValueError, match="brief, default, verbose, not 'most'"):
        zc.twist.Failure(NameError("who?")).getTraceback(detail="most")


def test_what_led_to_the_exception_is_told():
    try:
        try:
            raise KeyError("cause")
        except KeyError as error:
            raise ValueError("effect") from error
    except ValueError:
        failure = zc.twist.Failure()
    text = stored(failure).getTraceback()
    head, _, tail = text.partition(f"\n{zc.twist.failure.CAUSE}\n\n")
    assert head.splitlines()[0] == tail.splitlines()[0] == "Traceback (most recent call last):"
    assert head.splitlines()[-1] == "builtins.KeyError: 'cause'"
    assert tail.splitlines()[-1] == "builtins.ValueError: effect"


def test_an_exception_raised_while_another_was_handled_tells_so():
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904
    except ValueError:
        failure = zc.twist.Failure()
    assert f"builtins.KeyError: 'first'\n\n{zc.twist.failure.CONTEXT}\n" in failure.getTraceback()


def test_a_suppressed_context_is_not_told():
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second") from None
    except ValueError:
        failure = zc.twist.Failure()
    assert failure.chain == ()
    assert "first" not in failure.getTraceback()


def test_a_long_or_circular_chain_comes_to_an_end():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert len(zc.twist.Failure(one).chain) == 1
    error = ValueError("last")
    for number in range(100):
        earlier, error = error, ValueError(number)
        error.__cause__ = earlier
    chain = zc.twist.Failure(error).chain
    assert [line for _, line, _ in chain] == [
        f"builtins.ValueError: {number}" for number in range(89, 99)
    ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(Unpicklable(), "locked", id="holds a lock"),
        pytest.param(TwoArguments(1, 2), "1 and 2", id="cannot be loaded"),
        pytest.param(Wrapping("text"), "<text>", id="changes with each loading"),
        pytest.param(Reducing("x"), "x", id="raises when pickled"),
        pytest.param(ValueError(Record()), None, id="holds a new persistent object"),
        pytest.param(type("Lost", (LookupError,), {})("x"), "x", id="class is not importable"),
    ],
)
def test_an_exception_that_cannot_be_stored_is_stood_in_for(error, text):
    name = f"{type(error).__module__}.{type(error).__name__}"
    failure = failure_of(error)
    for each in (failure, stored(failure)):
        assert type(each.value) is zc.twist.StandInError
        assert each.type is zc.twist.StandInError
        assert each.value.type_name == each.type_name == name
        assert text is None or str(each.value) == each.getErrorMessage() == text
        assert repr(each) == f"<zc.twist.Failure {name}>"
        assert each.getTraceback().splitlines()[-1].startswith(f"{name}: ")
        assert each.check(KeyError, type(error)) is type(error)
        assert each.check(name) == name
        assert each.trap(Exception) is Exception
        assert each.check(KeyError) is None
        with pytest.raises(zc.twist.StandInError):
            each.trap(KeyError)


def test_an_exception_without_text_is_stored():
    failure = stored(failure_of(BadText()))
    assert failure.check(BadText)
    assert "BadText" in failure.getErrorMessage()


def test_an_exception_with_a_persistent_object_adds_nothing_to_the_database():
    db = ZODB.DB(None)
    with db.transaction() as jar:
        jar.root()["record"] = record = Record()
        jar.add(record)
    jar = db.open(transaction.TransactionManager())
    other = db.open(transaction.TransactionManager())
    jar.root()["failure"] = failure_of(ValueError(other.root()["record"]))
    jar.transaction_manager.commit()
    assert jar.root()["failure"].type_name == "builtins.ValueError"
    jar.close()
    other.close()
    db.close()


def test_an_exception_that_can_be_stored_keeps_its_attributes():
    error = OSError(2, "No such file", "missing.txt")
    error.add_note("look elsewhere")
    loaded = stored(failure_of(error))
    assert (loaded.value.errno, loaded.value.filename) == (2, "missing.txt")
    assert loaded.value.__notes__ == ["look elsewhere"]
    with pytest.raises(FileNotFoundError):
        loaded.raiseException()


def test_the_original_exception_is_left_as_it_was():
    original = ValueError("x")
    original.__cause__ = KeyError("y")
    failure = failure_of(original)
    assert original.__traceback__ is not None
    assert isinstance(original.__cause__, KeyError)
    assert failure.value is not original
    assert failure.value.__traceback__ is None
    assert failure.value.__cause__ is None


def test_local_variables_of_the_frames_are_let_go():
    class Big:
        pass

    import gc
    import weakref

    def fail():
        big = Big()
        references.append(weakref.ref(big))
        raise ValueError("x")

    references = []
    try:
        fail()
    except ValueError:
        failure = zc.twist.Failure()
    gc.collect()
    assert references[0]() is None
    assert failure.frames[-1][0] == "fail"


def test_cleaning_lets_go_of_the_frames_that_raising_again_added():
    failure = failure_of(ValueError("x"))
    with pytest.raises(ValueError, match="x"):
        failure.raiseException()
    assert failure.value.__traceback__ is not None
    before = failure.getTraceback()
    failure.cleanFailure()
    assert failure.value.__traceback__ is None
    assert failure.getTraceback() == before


def test_classes_are_compared_by_name_also_when_loaded_anew(tmp_path, monkeypatch):
    (tmp_path / "reloaded_errors.py").write_text("class Error(Exception):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("reloaded_errors")
    before = module.Error
    failure = stored(failure_of(module.Error("x")))
    importlib.reload(module)
    assert module.Error is not before
    assert failure.check(module.Error) is module.Error
    assert failure.check("reloaded_errors.Error")
    del sys.modules["reloaded_errors"]


def test_a_failure_outlives_the_class_of_its_exception(tmp_path, monkeypatch):
    (tmp_path / "passing_errors.py").write_text("class Error(LookupError):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("passing_errors")
    record = ZODB._compat.dumps(failure_of(module.Error("no more")), 3)
    del module.Error
    loaded = ZODB._compat.loads(record)
    assert type(loaded.value) is zc.twist.StandInError
    assert loaded.getErrorMessage() == "no more"
    assert loaded.getTraceback().splitlines()[-1] == "passing_errors.Error: no more"
    assert loaded.check(LookupError) is LookupError
    assert loaded.check("passing_errors.Error")
    # Stored again it is still the same.
    assert stored(loaded).getTraceback() == loaded.getTraceback()
    del sys.modules["passing_errors"]


def test_a_failure_of_an_exit_is_checked_by_name_too():
    failure = stored(failure_of(SystemExit(3)))
    assert failure.check(SystemExit) is SystemExit
    assert failure.check(BaseException) is BaseException
    assert failure.check(Exception) is None
    assert failure.value.code == 3


def test_names_of_old_are_accepted_in_checks():
    failure = zc.twist.Failure(zc.async_.interfaces.TimeoutError())
    assert failure.check("zc.async.interfaces.TimeoutError")
    assert failure.check(zc.async_.interfaces.AsyncError)
    assert zc.twist.Failure(NameError("x")).check("exceptions.NameError")


def test_a_failure_can_be_pickled_by_any_pickler_and_is_small():
    failure = failure_of(NameError("name 'foo' is not defined"))
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        loaded = pickle.loads(pickle.dumps(failure, protocol))
        assert loaded.getTraceback() == failure.getTraceback()
    assert len(ZODB._compat.dumps(failure, 3)) < 350 + len(__file__)


def test_a_record_names_the_class_where_it_is_promised_to_be():
    data = pickle.dumps(failure_of(Unpicklable()))
    assert b"zc.twist.failure" not in data
    assert b"zc.twist" in data
    assert pickle.loads(b"czc.twist\nFailure\n.") is zc.twist.Failure


def test_a_class_without_a_module_is_told_by_its_name():
    homeless = type("HomelessError", (ValueError,), {"__module__": None})
    failure = zc.twist.Failure(homeless("text"))
    failure = pickle.loads(pickle.dumps(failure))
    assert failure.check(ValueError)
    assert failure.check(homeless)
    assert "HomelessError: text" in failure.getTraceback()
    assert failure.getErrorMessage() == "text"


def test_a_failure_of_twisted_is_made_storable():
    try:
        raise Unpicklable("twisted")
    except Unpicklable:
        live = twisted.python.failure.Failure()
    safe = zc.twist.sanitize(live)
    assert type(safe) is zc.twist.Failure
    assert stored(safe).getErrorMessage() == "twisted"
    assert "in test_a_failure_of_twisted_is_made_storable" in stored(safe).getTraceback()
    # The other one is still alive.
    assert type(live.value) is Unpicklable
    assert live.tb is not None


def test_a_failure_of_twisted_that_was_cleaned_keeps_frames_and_variables():
    def fail(text):
        raise NameError(text)

    try:
        fail("who?")
    except NameError:
        cleaned = twisted.python.failure.Failure(captureVars=True)
    cleaned.cleanFailure()
    safe = zc.twist.sanitize(cleaned)
    assert safe.frames[-1][0] == "fail"
    assert dict(safe.frames[-1][3])["text"] == "'who?'"


def test_a_failure_that_is_safe_is_not_made_again():
    failure = failure_of(NameError("who?"), captureVars=True)
    assert zc.twist.sanitize(failure) is failure
    again = zc.twist.Failure(failure)
    assert again.frames == failure.frames
    assert again.value is failure.value


def test_a_failure_of_something_else_than_an_exception_is_stored():
    failure = stored(zc.twist.Failure("just text"))
    assert failure.getErrorMessage() == "just text"
    assert failure.type_name == "builtins.str"


def test_a_failure_whose_type_is_text_keeps_it():
    # As Perspective Broker makes them of failures in another process.
    live = twisted.python.failure.Failure(Exception("remote"))
    live.type, live.value, live.parents = "far.away.Error", "remote", ["far.away.Error"]
    failure = stored(zc.twist.sanitize(live))
    assert failure.check("far.away.Error")
    assert failure.getTraceback().endswith("\nfar.away.Error: remote\n")


def test_without_an_exception_there_is_no_failure():
    with pytest.raises(twisted.python.failure.NoCurrentExceptionError):
        zc.twist.Failure()


def test_a_deferred_carries_the_failure():
    deferred = twisted.internet.defer.fail(failure_of(NameError("who?")))
    caught = []
    deferred.addErrback(lambda failure: caught.append(failure.trap(NameError)))
    assert caught == [NameError]


def test_a_coroutine_gets_the_exception():
    async def wait():
        await twisted.internet.defer.fail(failure_of(NameError("who?")))

    caught = []
    deferred = twisted.internet.defer.ensureDeferred(wait())
    deferred.addErrback(lambda failure: caught.append(failure.trap(NameError)))
    assert caught == [NameError]


def test_a_failure_stored_by_python_2_prints_its_traceback():
    failure = ZODB._compat.loads(PYTHON_2_PICKLE)
    assert repr(failure) == "<zc.twist.Failure builtins.ZeroDivisionError>"
    assert failure.type is ZeroDivisionError
    assert failure.check(ZeroDivisionError)
    assert failure.check("exceptions.ArithmeticError")
    lines = failure.getTraceback().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == '  File "site/zc/async/job.py", line 597, in __call__'
    assert lines[3] == '  File "legacyapp/__init__.py", line 11, in divide'
    assert lines[-1] == "builtins.ZeroDivisionError: integer division or modulo by zero"
    assert stored(failure).getTraceback() == failure.getTraceback()


def test_a_failure_stored_by_python_2_outlives_the_class_of_its_exception():
    data = PYTHON_2_PICKLE.replace(b"cexceptions\nZeroDivisionError", b"cgone\nError")
    data = data.replace(b"U\x1cexceptions.ZeroDivisionError", b"U\x0agone.Error")
    # Text that was not ASCII comes as bytes after zodbupdate has converted the database.
    data = data.replace(b'U"integer', b'C"integer').replace(b"by zero", b"by z\xe9ro")
    unpickler = ZODB._compat.PersistentUnpickler(ZODB.broken.find_global, None, io.BytesIO(data))
    failure = unpickler.load()
    assert type(failure.value) is zc.twist.StandInError
    assert failure.getTraceback().endswith("integer division or modulo by z\ufffdro\n")
    assert stored(failure).getTraceback() == failure.getTraceback()


def test_unpickled_failures_of_one_record_share_nothing_with_the_live_one():
    failure = failure_of(OSError(1, "x"))
    loaded = pickle.loads(pickle.dumps(failure))
    assert loaded.value is not failure.value
    assert vars(loaded).keys() - {"count"} == vars(failure).keys() - {"count", "tb"}


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_a_thread_or_process_has_a_name_for_except_clauses(error):
    assert issubclass(error, zc.twist.EXPLOSIVE_ERRORS)
    assert not issubclass(ValueError, zc.twist.EXPLOSIVE_ERRORS)
