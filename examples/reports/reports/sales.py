"""The records, and the sample of them that a new site gets."""

import datetime
import random
from collections.abc import Iterable

from BTrees.LOBTree import LOBTree
from persistent import Persistent
from zope.interface import implementer

from reports.interfaces import ISales

#: What one unit of a currency is worth in euros.
RATES = {"EUR": 1.0, "GBP": 1.17, "USD": 0.92}

REGIONS = ("Africa", "Americas", "Asia", "Europe", "Oceania")
PRODUCTS = ("Bicycles", "Helmets", "Lamps", "Locks", "Pumps", "Saddles")

#: The years of the sample, and how many sales a month has at least and at most.
YEARS = (2023, 2024, 2025)
SALES_OF_A_MONTH = (110, 240)


class NoRateError(LookupError):
    """A sale is in a currency of which nobody knows what it is worth."""


class Sale(Persistent):
    """One record."""

    def __init__(
        self, number: int, day: datetime.date, region: str, product: str, cents: int, currency: str
    ) -> None:
        self.number = number
        self.day = day
        self.region = region
        self.product = product
        self.cents = cents
        self.currency = currency

    def euro_cents(self) -> int:
        """What it is worth. Raises `NoRateError`."""
        if self.currency not in RATES:
            raise NoRateError(
                f"sale {self.number} is in {self.currency}, for which there is no exchange rate"
            )
        return round(self.cents * RATES[self.currency])


@implementer(ISales)
class Sales(Persistent):
    """All records, by numbers that begin with the year and the month: 202512 0001."""

    def __init__(self) -> None:
        self._sales = LOBTree()

    def add(self, sale: Sale) -> None:
        """Add a record."""
        self._sales[sale.number] = sale

    def __len__(self) -> int:
        return len(self._sales)

    def years(self) -> list[int]:
        """See `ISales`."""
        first, last = self._sales.minKey() // 1_000_000, self._sales.maxKey() // 1_000_000
        return [year for year in range(last, first - 1, -1) if any(self._between(year * 100, 99))]

    def of_month(self, year: int, month: int) -> Iterable[Sale]:
        """See `ISales`."""
        return self._between(year * 100 + month)

    def _between(self, month: int, months: int = 1) -> Iterable[Sale]:
        return self._sales.values(month * 10_000, (month + months) * 10_000, excludemax=True)


def sample() -> Sales:
    """Some thousand sales, the same each time."""
    chance = random.Random(0)
    sales = Sales()
    for year in YEARS:
        for month in range(1, 13):
            for number in range(1, chance.randint(*SALES_OF_A_MONTH) + 1):
                sales.add(_sale(chance, year, month, number))
    # What is in any old data set: a report over this year fails, for managers to look into.
    next(iter(sales.of_month(YEARS[0], 9))).currency = "DEM"
    return sales


def _sale(chance: random.Random, year: int, month: int, number: int) -> Sale:
    return Sale(
        number=(year * 100 + month) * 10_000 + number,
        day=datetime.date(year, month, chance.randint(1, 28)),
        region=chance.choices(REGIONS, weights=(2, 6, 5, 8, 1))[0],
        product=chance.choice(PRODUCTS),
        cents=chance.randint(500, 90_000),
        currency=chance.choice(tuple(RATES)),
    )
