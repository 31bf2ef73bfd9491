"""Jobs that need labels, and what is kept for them."""

from tests.unit import calls
from zc.async_.queue.needing import all_needing

GPU, EU = ["gpu"], ["eu"]


def needing(client, *needs, callable=calls.nothing, **options):
    """Put a job that needs these labels."""
    return client.queue.put(callable, needs=needs, **options)


def sets(client):
    """The sets of needs for which something is kept."""
    return [needs for _refusals, all_ in all_needing(client.queue.backlog) for needs in all_.sets()]
