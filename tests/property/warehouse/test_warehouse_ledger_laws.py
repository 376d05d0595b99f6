"""Whatever is done to a ledger in whatever order: its accounts are the sum of their parts, and no cap is passed."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allot import LeaseLostError
from warehouse import Ledger

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LIMITS = ("budget", "letters")
WORKERS = 3

amounts = st.dictionaries(st.sampled_from(LIMITS), st.integers(0, 400), min_size=1)
worker = st.integers(0, WORKERS - 1)
steps = st.one_of(
    st.tuples(st.just("decide"), worker, amounts, st.floats(0, 1)),
    st.tuples(st.just("decide"), worker, amounts, st.floats(0, 1)),
    st.tuples(st.just("decide late"), worker, amounts, st.floats(0, 1)),
    st.tuples(st.just("settle"), st.integers(0, 50), amounts),
    st.tuples(st.just("outcome"), st.integers(0, 50), st.booleans()),
    st.tuples(st.just("set aside"), amounts),
    st.tuples(st.just("cancel"), st.integers(0, 50)),
    st.tuples(st.just("cap"), st.sampled_from(LIMITS), st.integers(0, 3_000)),
    st.tuples(st.just("freeze"), st.booleans()),
    st.tuples(st.just("clock"), worker, st.sampled_from([-3_600, 1, 20, 40, 3_600])),
    st.tuples(st.just("reclaim"), st.sampled_from([-3_600, 0, 3_600])),
    st.tuples(st.just("die"), worker),
)
names = count()


class Model:
    """The ledger beside what it should say: decisions with what they hold, or have spent."""

    def __init__(self, store):
        self.store, self.campaign = store, f"campaign {next(names)}"
        self.clocks = [timedelta(0)] * WORKERS
        self.ledgers = [self.life(i) for i in range(WORKERS)]
        self.caps, self.frozen = {"budget": 1_000, "letters": 500}, False
        self.ledgers[0].open(self.campaign, self.caps)
        self.held, self.spent, self.sure, self.known = {}, {}, {}, []

    def life(self, i):
        return Ledger(self.store, worker=f"w{i}", clock=lambda: NOW + self.clocks[i], lease_seconds=30.0)

    def taken(self, limit):
        return sum(x.get(limit, 0) for x in (*self.held.values(), *self.spent.values()))

    def decide(self, i, wanted, sure, *, late=False):
        decision, wanted = f"{self.campaign} {len(self.known)}", {k: v for k, v in wanted.items() if v}
        part = {limit: int(amount * sure) for limit, amount in wanted.items()}
        ledger = self.ledgers[i]
        try:
            with self.store.transaction() as session:
                if not late:
                    room = ledger.room(session, self.campaign, wanted)
                    assert not self.frozen or not any(room.values())
                    fits = all(amount <= room[limit] for limit, amount in wanted.items())
                    left = {limit: self.caps[limit] - self.taken(limit) for limit in wanted}
                    # what one worker needs and the cap leaves, it gets, wherever it lies
                    assert self.frozen or fits == all(a <= left[limit] for limit, a in wanted.items())
                    if not fits:
                        return
                ledger.hold(session, self.campaign, decision, wanted, sure=part)
        except LeaseLostError:
            assert late
            return
        if wanted:
            self.known.append(decision)
            self.held[decision], self.sure[decision] = wanted, part

    def settle(self, n, spent):
        if not self.known:
            return
        decision = self.known[n % len(self.known)]
        with self.store.transaction() as session:
            self.ledgers[0].settle(session, decision, spent)
            self.posted(session, decision)

    def outcome(self, n, succeeded):
        if not self.known:
            return
        decision = self.known[n % len(self.known)]
        first = self.held.get(decision)
        with self.store.transaction() as session:
            short = self.ledgers[0].settle_outcomes(session, {decision: succeeded, "nobody": True})
            self.posted(session, decision)
        if first is not None:
            assert short == {}
            assert self.spent[decision] == (first if succeeded else self.sure[decision])

    def posted(self, session, decision):
        found = self.ledgers[0].taken(session, decision)
        most = self.held.pop(decision, None)
        assert most is None or all(found[limit] <= amount for limit, amount in most.items())
        self.spent[decision] = found

    def set_aside(self, wanted):
        holder = f"{self.campaign} {len(self.known)}"
        with self.store.transaction() as session:
            given = self.ledgers[0].set_aside(session, self.campaign, holder, wanted)
        free = {limit: 0 if self.frozen else max(0, self.caps[limit] - self.taken(limit)) for limit in wanted}
        assert given == {limit: min(amount, free[limit]) for limit, amount in wanted.items()}
        self.known.append(holder)
        self.held[holder], self.sure[holder] = given, dict.fromkeys(given, 0)

    def cancel(self, n):
        if not self.known:
            return
        decision = self.known.pop(n % len(self.known))
        with self.store.transaction() as session:
            self.ledgers[0].cancel(session, decision)
        self.held.pop(decision, None)
        self.spent.pop(decision, None)
        self.known.append(f"gone {decision}")

    def step(self, what, *args):
        if what == "decide":
            self.decide(*args)
        elif what == "decide late":
            self.decide(*args, late=True)
        elif what == "cap":
            self.caps[args[0]] = args[1]
            self.ledgers[0].open(self.campaign, {args[0]: args[1]})
        elif what == "freeze":
            self.frozen = args[0]
            self.ledgers[0].freeze(self.campaign, frozen=self.frozen)
        elif what == "clock":
            self.clocks[args[0]] += timedelta(seconds=args[1])
        elif what == "reclaim":
            self.ledgers[0].reclaim(NOW + timedelta(seconds=args[0]))
        elif what == "die":
            self.ledgers[args[0]] = self.life(args[0])
        else:
            getattr(self, what.replace(" ", "_"))(*args)

    def check(self):
        for account in self.ledgers[0].recount(self.campaign):
            assert account.right
        for balance in self.ledgers[0].balances(self.campaign):
            taken = self.taken(balance.limit)
            assert balance.held + balance.spent - balance.lent == taken
            assert balance.held + balance.spent <= balance.cap == max(self.caps[balance.limit], taken + balance.lent)


@pytest.mark.parametrize("examples", [30])
def test_accounts_are_the_sum_of_their_parts_and_no_cap_is_passed(store, examples):
    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, min_size=5, max_size=25))
    def law(script):
        model = Model(store)
        for step in script:
            model.step(*step)
            model.check()

    law()
