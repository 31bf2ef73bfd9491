"""One queue, used by several clients and dispatchers in any order that Hypothesis thinks of.

- `work`: what the jobs do, and where in the middle of it others may act.
- `model`: what is known of each job beside the database.
- `process`: a dispatcher's process, whose every step is made by hand.
- `actions`: what clients do in their transactions.
- `world`: the database, its parties and the clock.
- `promises`: what must be so after each step, and in the end.
- `strategies`: what Hypothesis may choose from.
- `test_statemachine`: the rules, and the tests.
"""
