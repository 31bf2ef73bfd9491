"""Packages and pages are fetched by jobs, whatever the servers do."""

import datetime

import pytest
import transaction
from tests.portal import configure
from zope.component.hooks import site

import zc.async_.clock
from mypypi import jobs, packages, pages
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING


def put(portal, name="lunar-parser"):
    """A package whose fetch has been put, and nothing else."""
    with site(portal.application):
        package = portal.application["packages"].ensure(name)
    transaction.commit()
    return package


def attach(portal, url, package=None):
    """A page whose fetch has been put."""
    if package is None:
        package = portal.package("lunar-parser")
    with site(portal.application):
        page = pages.attach(package, url, "anna")
    transaction.commit()
    return page


def test_a_package_is_fetched_by_a_job(portal, index):
    package = put(portal)
    assert package.is_being_fetched
    portal.wait_for_jobs()
    assert not package.is_being_fetched
    assert (package.title, package.data.version) == ("lunar-parser", "1.0")
    assert package.error == ""
    assert index.requests == ["/pypi/lunar-parser/json"]


def test_fetches_have_quotas_and_deadlines_and_those_of_pages_are_never_retried(portal, index):
    index.misbehaviours["/"] = "hang"
    package = put(portal)
    page = attach(portal, f"{index.address}/docs/lunar-parser", package)
    assert package.job.quota_names == (jobs.INDEX,)
    assert package.job.begin_by == jobs.INDEX_PATIENCE
    assert package.job.retry_policy_factory is jobs.AskAgain
    assert page.job.quota_names == (jobs.PAGES,)
    assert page.job.begin_by == jobs.PAGE_PATIENCE
    assert page.job.retry_policy_factory is jobs.ASK_ONCE
    # They run for everybody, whoever has asked.
    assert package.job.participants == ()


def test_the_index_is_asked_by_two_jobs_at_most(portal, index):
    index.misbehaviours["/pypi/"] = "hang"
    names = ["lunar-parser", "lunar-quill", "lunar-ribbon"]
    fetched = [put(portal, name) for name in names]
    portal.wait_until(lambda: len(index.requests) == 2)
    # The dispatcher has a third place, and a page needs none of the index.
    page = attach(portal, f"{index.address}/docs/lunar-parser", fetched[0])
    portal.wait_until(lambda: page.fetched is not None)
    assert [package.job.status for package in fetched] == [ACTIVE, ACTIVE, PENDING]
    index.behave()
    portal.wait_for_jobs()
    assert all(package.data for package in fetched)


def test_a_package_is_fetched_once_however_often_that_is_asked_for(portal, index):
    index.misbehaviours["/pypi/"] = "hang"
    package = put(portal)
    job = package.job
    with site(portal.application):
        package.refresh()
        portal.application["packages"].ensure("lunar-parser").refresh()
    transaction.commit()
    assert package.job is job
    index.behave()
    portal.wait_for_jobs()
    assert index.requests == ["/pypi/lunar-parser/json"]


def test_an_index_that_is_out_of_order_is_asked_again_by_the_policy(portal, index):
    index.misbehaviours["/pypi/"] = "error"
    package = portal.package("lunar-parser")
    assert len(index.requests) == 4
    assert package.error == "it is out of order (HTTP status 503)"
    assert package.failures == 1
    index.behave()
    with site(portal.application):
        package.refresh()
    transaction.commit()
    portal.wait_for_jobs()
    assert (package.data.version, package.error, package.failures) == ("1.0", "", 0)
    assert package.not_before is None


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("hang", "it took too long"),
        ("nonsense", "the index does not answer in JSON"),
        ("shape", "the index does not describe the package"),
        ("stranger", "the index describes another package"),
        ("huge", "it is too large"),
    ],
)
def test_a_package_says_why_it_was_not_fetched(portal, index, kind, error):
    configure(index.address, timeout="1s")
    index.misbehaviours["/pypi/"] = kind
    assert portal.package("lunar-parser").error == error


def test_an_index_is_down(portal, index):
    index.stop()
    package = portal.package("lunar-parser")
    assert package.error == "the connection failed"


def test_pauses_grow_while_a_package_cannot_be_fetched(portal, index):
    index.misbehaviours["/pypi/"] = "nonsense"
    package = portal.package("lunar-parser")
    seconds = []
    for _ in range(3):
        seconds.append(round((package.not_before - package.job.active_end).total_seconds()))
        with site(portal.application):
            package.refresh()
        transaction.commit()
        portal.wait_for_jobs()
    assert seconds == [packages.FIRST_PAUSE, 2 * packages.FIRST_PAUSE, 4 * packages.FIRST_PAUSE]


def test_a_fetch_that_nobody_has_time_for_fails_and_says_so(portal, index):
    package = put(portal)
    portal.wait_for_jobs()
    with site(portal.application):
        package.refresh()
        # It was due long ago, and nobody came.
        package.job.begin_after = zc.async_.clock.now() - datetime.timedelta(days=1)
    transaction.commit()
    # A callback of a job that has failed like that is performed a moment later.
    portal.wait_until(lambda: package.error)
    assert package.error == "no worker had time for it"
    # What was known before is still known.
    assert package.data.version == "1.0"


def test_an_old_answer_replaces_no_newer_one(portal, index):
    old = portal.package("lunar-parser").data
    index.packages.publish("lunar-parser")
    portal.follow()
    package = portal.application["packages"]["lunar-parser"]
    with site(portal.application):
        package.received(old)
    assert package.data.version == "1.1"


def test_an_attached_page_is_fetched_once(portal, index):
    page = attach(portal, f"{index.address}/docs/lunar-parser")
    portal.wait_for_jobs()
    assert page.title == "lunar-parser: documentation"
    assert "parsing grammars" in page.text
    again = attach(portal, f"{index.address}/docs/lunar-parser", page.__parent__)
    assert again is page
    assert index.requests.count("/docs/lunar-parser") == 1


@pytest.mark.parametrize("kind", ["error", "truncated", "hang"])
def test_a_page_that_cannot_be_fetched_is_asked_for_once(portal, index, kind):
    configure(index.address, timeout="1s")
    index.misbehaviours["/docs/"] = kind
    page = attach(portal, f"{index.address}/docs/lunar-parser")
    portal.wait_for_jobs()
    assert page.job.status == COMPLETED
    assert page.error != ""
    assert index.requests.count("/docs/lunar-parser") == 1


def test_a_page_is_neither_on_this_machine_nor_a_picture(portal, index):
    page = attach(portal, "http://127.0.0.1:1/secrets")
    json = attach(portal, f"{index.address}/simple/", page.__parent__)
    portal.wait_for_jobs()
    assert page.error == "127.0.0.1 is not on the public internet"
    assert json.error == "it is neither HTML nor plain text"


def test_a_page_that_was_removed_meanwhile_is_neither_found_nor_missed(portal, index):
    index.misbehaviours["/docs/"] = "hang"
    page = attach(portal, f"{index.address}/docs/lunar-parser")
    portal.wait_until(lambda: page.job.status == ACTIVE)
    del page.__parent__[page.__name__]
    transaction.commit()
    index.behave()
    portal.wait_for_jobs()
    assert page.job.status == COMPLETED
    assert not portal.queue.quotas[jobs.SEARCH]


def test_a_package_has_so_many_pages(portal, index, monkeypatch):
    monkeypatch.setattr(pages, "MOST", 1)
    attach(portal, f"{index.address}/docs/lunar-parser")
    package = portal.application["packages"]["lunar-parser"]
    with pytest.raises(pages.Refused, match="1 pages already"):
        attach(portal, f"{index.address}/changes/lunar-parser", package)
