"""The jobs that are due, in the order in which one claim goes through them.

They are those of the backlog and those that the claim adds, which it writes when it is closed.
"""

import itertools
import operator
from collections.abc import Iterator
from typing import Any

from zc.async_.job import COROUTINE, GroupKey, Refusal, SortKey
from zc.async_.queue.backlog import Group, Shard
from zc.async_.queue.candidates import Candidates, Waiting
from zc.async_.queue.contenders import MOVES, Contenders
from zc.async_.queue.limited import Pile, change_count, index_of, indices, take_over
from zc.async_.queue.needing import all_needing, made_part_of, part_of
from zc.async_.queue.places import Places

#: The most groups of older versions that one claim takes over.
TAKE_OVER_LIMIT = 1000


#: Whether jobs are of the system, the filters that refused them, and the labels that they need.
Kind = tuple[bool, tuple[Refusal, ...], tuple[str, ...]]


class Ready:
    """The jobs of `queue` that are due, with and without quotas and needs, in order.

    `places` are those of its quotas. For `share`, see `zc.async_.queue.claim.Claim`.
    """

    def __init__(self, queue: Any, places: Places, share: int | None) -> None:
        self._backlog = queue.backlog
        self._quotas = queue.quotas
        self._places = places
        self._share = share
        #: The jobs without quotas and needs, and groups of older versions that were not taken over
        #: yet.
        self._candidates: dict[GroupKey, Candidates] = {}
        #: The others. Those that need labels come here when somebody asks who has these.
        self._limited: dict[Kind, Contenders] = {}
        #: The labels of those who asked for jobs so far.
        self._looked_for: set[frozenset[str]] = set()
        #: Entries to be deleted from shards.
        self._deletions: list[tuple[Shard | Pile, SortKey]] = []
        #: How many more entries there are in piles than the stored count says.
        self._in_piles = 0
        #: Whether there is more to do now than one claim does.
        self.more = False
        #: Whether anything was written.
        self.changed = False
        self._look_into_groups()
        self._look_into_limited()

    def _look_into_groups(self) -> None:
        taken_over = 0
        for stored_key, group in list(self._backlog.groups.items()):
            key = GroupKey(*stored_key)
            if key.quota_names and taken_over < TAKE_OVER_LIMIT:
                take_over(self._backlog, key, group, self._places)
                taken_over += 1
                self.changed = True
            elif group:
                self._group(key, group)
                self.more = self.more or bool(key.quota_names)

    def _look_into_limited(self) -> None:
        names = list(itertools.islice(self._quotas.reopened_names(), MOVES + 1))
        if len(names) > MOVES:
            self.more = True
            names.pop()
        for (system, refusals), index in indices(self._backlog):
            for name in names:
                index.reopen(name, self._places)
            self._limited[system, refusals, ()] = Contenders(system, refusals, index, self._places)
        for _refusals, needing in all_needing(self._backlog) if names else ():
            for name in names:
                needing.reopen(name, self._places)
        if names:
            self._quotas.forget_reopened(names)
            self.changed = True

    def _group(self, key: GroupKey, stored: Group | None) -> Candidates:
        candidates = self._candidates[key] = Candidates(key, stored, self._share)
        return candidates

    def _contenders(self, kind: Kind) -> Contenders:
        contenders = self._limited.get(kind)
        if contenders is None:
            system, refusals, needs = kind
            # (All indices of jobs without needs are there from the beginning.)
            part = part_of(self._backlog, refusals, needs) if needs else None
            contenders = Contenders(system, refusals, part, self._places, needs)
            self._limited[kind] = contenders
        return contenders

    def _look_for(self, labels: frozenset[str]) -> None:
        """Look which waiting jobs need labels, and only labels that are among these."""
        if labels and labels not in self._looked_for:
            self._looked_for.add(labels)
            for refusals, needing in all_needing(self._backlog):
                for needs in needing.satisfied(labels):
                    self._contenders((False, refusals, needs))

    # -- for prefetching

    def first_stored(self, count: int) -> list[Any]:
        """`count` jobs of each group without quotas that are likely to be needed."""
        return [job for c in self._candidates.values() for job in c.first_stored(count)]

    def first_piles(self, count: int) -> list[Pile]:
        """`count` piles of each index that are likely to be looked into."""
        return [pile for c in self._limited.values() for pile in c.first_heads(count)]

    # -- handing out

    def add(self, key: GroupKey, waiting: Waiting) -> None:
        """Add a job to those that can be handed out, or give one back."""
        if key.quota_names or key.needs:
            kind = key.system, key.refusals, key.needs
            self._contenders(kind).push(key.quota_names, waiting)
            return
        candidates = self._candidates.get(key)
        if candidates is None:
            candidates = self._group(key, self._backlog.groups.get(key[:3]))
        candidates.push(waiting)

    def first(
        self,
        system: bool,
        refusal: Refusal | None,
        labels: frozenset[str],
        only_coroutines: bool = False,
    ) -> Candidates | None:
        """The group with the first job of all; None if there is none.

        Leaves out groups that a quota holds back, groups that the filter of `refusal` refused, and
        groups that need other labels than `labels`. `system` says whether to return a group of
        system jobs or of others; `only_coroutines` leaves out all but coroutines.
        """
        self._look_for(labels)
        best, best_key = None, None
        for key, candidates in () if only_coroutines else self._candidates.items():
            if key.system is not system or (refusal is not None and refusal in key.refusals):
                continue
            sort_key = candidates.peek()
            if (
                sort_key is not None
                and (best_key is None or sort_key < best_key)
                and self._places.holder(key.quota_names) is None
            ):
                best, best_key = candidates, sort_key
        for bound, contenders in self._bounds(system, refusal, labels, only_coroutines):
            if best_key is not None and bound >= best_key:
                break
            first = contenders.first()
            if first is not None and (best_key is None or first[0] < best_key):
                best_key, best = first
        return best

    def _bounds(
        self,
        system: bool,
        refusal: Refusal | None,
        labels: frozenset[str],
        only_coroutines: bool,
    ) -> list[tuple[SortKey, Contenders]]:
        """What may have the first job, the most likely first: of many sets, few are looked into."""
        bounds = [
            (contenders.bound(), contenders)
            for (of_system, refusals, needs), contenders in self._limited.items()
            if of_system is system
            and not (refusal is not None and refusal in refusals)
            and labels.issuperset(needs)
            and not (only_coroutines and COROUTINE not in needs)
        ]
        found = [(bound, contenders) for bound, contenders in bounds if bound is not None]
        found.sort(key=operator.itemgetter(0))
        return found

    def delete(self, waiting: Waiting) -> None:
        """Note that a job taken from its group has to be deleted from its shard, if it has one."""
        key, _job, stored = waiting
        if stored is not None:
            self._deletions.append((stored, key))

    # -- for code that looks at the queue during the claim

    def entries(self) -> Iterator[tuple[SortKey, Any]]:
        """The entries that were added and are not written yet."""
        for candidates in self._all_candidates():
            for key, job, stored in candidates.to_store():
                if stored is None:
                    yield key, job

    def _all_candidates(self) -> Iterator[Candidates]:
        limited = (contenders.groups() for contenders in self._limited.values())
        return itertools.chain(self._candidates.values(), *limited)

    def uncounted(self) -> int:
        """How many more entries there are than `Backlog.count` says."""
        return sum(1 for _entry in self.entries()) - len(self._deletions)

    # -- writing

    def write_deletions(self) -> None:
        """Delete the stored entries of jobs that were taken."""
        for shard, key in self._deletions:
            shard.remove(key)
            self._in_piles -= isinstance(shard, Pile)
        self.changed = self.changed or bool(self._deletions)

    def write(self) -> None:
        """Write the jobs that were added to groups, and file the piles. After `write_deletions`."""
        for candidates in self._all_candidates():
            self._store(candidates)
        if self._in_piles:
            change_count(self._backlog, self._in_piles)
        for (system, refusals, needs), contenders in self._limited.items():
            if contenders:
                contenders.file(
                    made_part_of(self._backlog, refusals, needs)
                    if needs
                    else index_of(self._backlog, system, refusals)
                )
            self.changed = self.changed or contenders.changed
            self.more = self.more or contenders.more

    def _store(self, candidates: Candidates) -> None:
        """Write the jobs that were added to a group."""
        new = candidates.to_store()
        if not new:
            return
        self.changed = True
        for key, _job, stored in new:
            if stored is not None:
                stored.remove(key)
                self._in_piles -= isinstance(stored, Pile)
        system, quota_names, refusals, needs = candidates.key
        if not (quota_names or needs):
            self._backlog.group(candidates.key).add([(key, job) for key, job, _s in new])
            return
        pile = self._limited[system, refusals, needs].pile(quota_names)
        for key, job, _stored in new:
            pile.add(key, job)
        self._in_piles += len(new)
