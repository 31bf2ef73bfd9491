"""The names by which databases know what is here: they stay, wherever the files lie."""

import importlib
import pickle
import pkgutil

import persistent
import pytest

import zc.async_

NAMES = {
    "zc.async_.storing": "NotBroughtOverError UnstorableError",
    "zc.async_.running": "At CannotWaitError ConnectionClosedError InvalidEndError NeverRetry "
    "Receipts RetryCommonForever RetryCommonFourTimes RetrySystem TwoConnectionsError "
    "pass_through",
    "zc.async_.job": "CallbackProxy ConditionalCallbackProxy Job Parts Progress Sidecar "
    "SuccessFailureCallbackProxy Tally as_job collect is_failure parallel parallel_part_ended "
    "run_parallel run_serial serial serial_part_ended success_or_failure",
    "zc.async_.agent": "Agent Books Completed DispatcherAgents Dispatchers HistoryBucket "
    "HistorySegment Ledger Ping Running SystemAgent addMainAgentActivationHandler chooseFirst",
    "zc.async_.queue": "Backlog Cursor Group Lane Lanes Limited Members Needing Pile Queue Queues "
    "Quota Quotas Segment Shard Tree getDefaultQueue",
    "zc.async_.partial": "Partial",
    "zc.async_.z3": "Job MissingPrincipalError MissingSiteError UncommittedError "
    "UnloadableSiteError",
}
PAIRS = [(module, name) for module, names in NAMES.items() for name in names.split()]

#: Never stored themselves: parts of others.
ABSTRACT = {"Call", "Callbacks", "Conditions", "JobRecord", "Life", "_Policy"}


@pytest.mark.parametrize(("module", "name"), PAIRS, ids=map(".".join, PAIRS))
def test_it_is_recorded_by_this_name_and_found_by_it(module, name):
    found = getattr(importlib.import_module(module), name)
    assert (found.__module__, found.__qualname__) in ((module, name), *ALIASES.get(name, ()))
    assert pickle.loads(pickle.dumps(found)) is found


#: The same class as another one.
ALIASES = {"SuccessFailureCallbackProxy": [("zc.async_.job", "CallbackProxy")]}


def test_no_persistent_class_has_another_name():
    kinds = set()
    for module in pkgutil.walk_packages(zc.async_.__path__, "zc.async_."):
        if module.name.startswith("zc.async_.demo") or module.name.endswith("__main__"):
            continue
        kinds |= {
            (kind.__module__, kind.__qualname__)
            for kind in vars(importlib.import_module(module.name)).values()
            if isinstance(kind, type)
            and issubclass(kind, persistent.Persistent)
            and kind.__module__.startswith("zc.")
            and kind.__name__ not in ABSTRACT
        }
    assert kinds <= set(PAIRS)
