"""Jobs that are called, and what their callbacks note."""

import pytest


@pytest.fixture
def run(client, happened):
    """Stores a job and calls it; returns the names of what was noted."""

    def run(job):
        client.root["job"] = job
        client.commit()
        job()
        return [entry[0] for entry in happened]

    return run
