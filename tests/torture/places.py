"""Where jobs may run: what labels the workers have, and what jobs need."""

import uuid
from typing import Any

#: The labels of workers, by name.
LABELS = {
    "worker-1": ("mortal", "odd"),
    "worker-2": ("even", "mortal"),
    "worker-3": ("steady",),
    "workers": ("crew", "mortal"),
}

#: Their UUIDs, which their files have from the beginning.
UUIDS = {name: uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.torture") for name in LABELS}

#: What jobs need that need something: what several workers have, what one has, what those of a
#: supervisor have, and one worker itself.
NEEDS = (("mortal",), ("even", "mortal"), ("steady",), ("crew",), (str(UUIDS["worker-1"]),))

#: How many of a hundred jobs, and parts of them, need something.
NEEDY = 30

#: Added to the path of the file that jobs write to: where a job tells that it runs where it must
#: not.
MISPLACED = ".misplaced"


def choose(random: Any) -> tuple[str, ...]:
    """What a job needs."""
    return tuple(random.choice(NEEDS)) if random.randrange(100) < NEEDY else ()


def missing(job: Any, dispatcher: Any) -> list[str]:
    """What a job needs that a dispatcher has not."""
    return sorted({*job.needs} - {*dispatcher.labels, str(dispatcher.UUID)})
