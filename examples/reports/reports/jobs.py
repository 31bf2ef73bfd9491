"""What is done by jobs.

They are `zc.async_.z3.Job`, so `getSite`, the utilities of the site, and the principal are those of
the request that has put them.
"""

import calendar
import time
from collections import defaultdict
from typing import Any

from zope.app.appsetup.product import getProductConfiguration
from zope.component import getUtility
from zope.component.hooks import getSite
from zope.security.management import getInteraction

import zc.async_
from reports.interfaces import ISales
from reports.model import GROUPINGS, Report, Row

#: The name of the quota of all reports, and its size: how many are made at once, over all
#: processes. More of them wait, and can be cancelled.
QUOTA = "reports"
QUOTA_SIZE = 2

#: The live annotation that tells how far a report is: percent, and what is being done.
PROGRESS = "progress"


def make_report(report: Report) -> str:
    """Make a report, and write to the user who put the job.

    The report, the mail, the result of the job and that it is done are one commit. If the process
    dies before, another one begins anew, and finds nothing of this.
    """
    report.rows = _rows(report)
    summary = f"{report.count:,} sales, {report.euro_cents / 100:,.2f} euros"
    _write(report, f"your report is ready: {summary}.")
    return summary


def _rows(report: Report) -> tuple[Row, ...]:
    """Add up the sales of a report, month by month."""
    sales, group_of = getUtility(ISales), GROUPINGS[report.group_by]
    counts: dict[str, int] = defaultdict(int)
    sums: dict[str, int] = defaultdict(int)
    for month in range(1, 13):
        # Seen at once by everybody, though this transaction is still open.
        progress = (month - 1) * 100 // 12, f"adding up {calendar.month_name[month]}"
        zc.async_.local.setLiveAnnotation(PROGRESS, progress)
        for sale in sales.of_month(report.year, month):
            group = group_of(sale)
            counts[group] += 1
            sums[group] += sale.euro_cents()
        pause()
    return tuple(Row(group, counts[group], sums[group]) for group in sorted(counts))


def note_failure(report: Report, failure: Any) -> None:
    """Keep why a report could not be made, and write to the user: the callback for failures.

    Agents forget completed jobs after a week or so. What the application wants to know longer, it
    notes in objects of its own.
    """
    report.traceback = failure.getTraceback()
    _write(report, "we are sorry: your report could not be made. We look into it.")


def _write(report: Report, text: str) -> None:
    """Write to the principal as whom the job runs."""
    (participation,) = getInteraction().participations
    user = participation.principal
    outbox = getSite()[user.id].outbox
    outbox.add(user.address, report.title, f"Dear {user.title}, {text}")


def pause() -> None:
    """Stands for work that takes longer than adding up: the seconds are in zope.conf."""
    seconds = float((getProductConfiguration("reports") or {}).get("pause", 0))
    time.sleep(seconds)
