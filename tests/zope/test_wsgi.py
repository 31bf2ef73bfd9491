"""A site of zope.app.wsgi, under waitress."""

import signal

import pytest

pytestmark = pytest.mark.slow

RESULT = "wsgi.admin in site (of its own): 42"


def test_a_request_puts_a_job_that_runs_in_its_site_and_with_its_principal(site):
    site.start()
    assert site.get("@@make-site") == "made"
    job_id = site.get("site/@@put")
    assert site.result(job_id) == RESULT
    assert site.get("site/@@abort") == 500
    assert site.get("site/@@put", user=None) == 401
    assert site.get("@@process") == f"{site.process.pid} True"
    assert site.stop() == -signal.SIGTERM
    assert "deactivated" in site.printed()
    site.start()
    assert site.get(f"site/@@result?id={job_id}").endswith(RESULT)
