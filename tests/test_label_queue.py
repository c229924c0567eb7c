"""The label queue: order, sides, arms, leases, repeats and progress."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from types import SimpleNamespace

import label_rows
import numpy as np
import pandas as pd
import pytest

from vital_lib.annotators import signed
from vital_lib.labels import FixedQueue, LabelLog, Queue
from vital_lib.labels import queue as queue_module
from vital_lib.labels.order import in_order
from vital_lib.labels.queue import GAP

pytest_plugins = "postgres"

ORDER = ["item_id", "left_id", "right_id", "drawn_by"]


def drafts(figures: int = 30, rounds: int = 3) -> pd.DataFrame:
    """Drafts in ten clusters, half of the figures in the first; uncertainty rises with F."""
    frame = label_rows.drafts(figures, rounds)
    number = frame["figure_id"].str[1:].astype(int)
    cluster = np.where(number < figures // 2, 0, number % 9 + 1)
    return frame.assign(cluster=cluster, uncertainty=number / figures)


@pytest.fixture
def open_log(url):
    """A function that opens the same log again, as another process does; SQLite and PostgreSQL."""
    logs = []

    def opened() -> LabelLog:
        logs.append(LabelLog(url))
        return logs[-1]

    yield opened
    for log in logs:
        log.close()


@pytest.fixture
def clock(monkeypatch):
    """The queues' clock, which changes only when a test adds to its `now`."""
    clock = SimpleNamespace(now=time.time())
    monkeypatch.setattr(queue_module, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def judge(log: LabelLog, row: dict, who: str) -> str:
    names = ("item_id", "left_id", "right_id", "drawn_by", "repeat_of")
    return log.record(
        **{name: row[name] for name in names},
        left_accepted=True,
        right_accepted=False,
        annotator=who,
    )


def leases(log: LabelLog) -> int:
    with log.database.reading() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM label_leases").scalar()


def judge_all(log: LabelLog, queue: Queue, most: int = 10_000) -> list[dict]:
    rows = []
    while len(rows) < most and (taken := queue.take()):
        rows += taken
        judge(log, taken[0], queue.annotator)
    return rows


def orders(log, who="ann", count=30, **settings) -> pd.DataFrame:
    return Queue(log, drafts(count), who, **settings).items()


def test_the_order_has_one_row_per_instruction_with_both_responses(log):
    for strategy in ("random", "cluster", "uncertainty"):
        found = orders(log, strategy=strategy)
        assert list(found.columns) == ORDER
        assert sorted(found["item_id"]) == sorted(set(drafts()["instruction_id"]))
        for row in found.itertuples():
            assert {row.left_id, row.right_id} == {f"{row.item_id}-a", f"{row.item_id}-b"}
        assert set(found["drawn_by"]) == {"random", strategy}


def test_sides_are_a_fair_coin_per_item_and_annotator(log):
    sides = {
        who: orders(log, who, 300).set_index("item_id")["left_id"].sort_index().str[-1] == "a"
        for who in ("ann", "ben")
    }
    assert 0.45 < sides["ann"].mean() < 0.55
    assert 0.45 < (sides["ann"] == sides["ben"]).mean() < 0.55


def test_the_order_depends_on_the_seed_only(log):
    pd.testing.assert_frame_equal(orders(log), orders(log))
    assert not orders(log).equals(orders(log, seed=1))
    shuffled = Queue(log, drafts().sample(frac=1, random_state=0), "ann").items()
    sides = [
        frame.set_index("item_id")["left_id"].sort_index() for frame in (orders(log), shuffled)
    ]
    assert sides[0].equals(sides[1])


def test_annotators_get_figures_in_different_orders_with_instructions_together(log):
    orders_of_figures = []
    for who in ("ann", "ben"):
        items = list(orders(log, who)["item_id"])
        figures = [item.rsplit("-", 1)[0] for item in items]
        orders_of_figures.append(list(dict.fromkeys(figures)))
        assert items == [f"{figure}-r{r}" for figure in orders_of_figures[-1] for r in (1, 2, 3)]
    assert orders_of_figures[0] != orders_of_figures[1]


def test_annotators_who_share_places_get_one_order(log):
    ann, ben = (orders(log, who, wanted=2) for who in ("ann", "ben"))
    assert ann["item_id"].equals(ben["item_id"])
    assert not ann["left_id"].equals(ben["left_id"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"annotator": " "}, "annotator must be a non-empty string"),
        ({"wanted": 0}, "wanted 0: give 1 or more"),
        ({"random_share": 0.1}, "random_share 0.1: agreement is measured on the random arm"),
        ({"repeats": -0.1}, "repeats -0.1: give a share"),
        ({"lease": 0}, "lease 0: give seconds"),
        ({"strategy": "newest"}, "strategy 'newest': give one of random, cluster, uncertainty"),
        ({"drafts": drafts().drop(index=1)}, r"'F0-r1' has the responses \['F0-r1-a'\]"),
        (
            {"strategy": "cluster", "drafts": drafts().drop(columns="cluster")},
            "'cluster' needs a column cluster in the drafts",
        ),
        (
            {"strategy": "uncertainty", "drafts": drafts().replace({"uncertainty": {0: np.nan}})},
            "6 of 180 drafts have no uncertainty",
        ),
    ],
)
def test_invalid_queue_settings_are_refused_with_the_value(log, changed, message):
    given = {"drafts": drafts(), "annotator": "ann", **changed}
    with pytest.raises(ValueError, match=message):
        Queue(log, **given)


@pytest.mark.parametrize("strategy", ["cluster", "uncertainty"])
@pytest.mark.parametrize("share", [0.2, 0.35])
def test_the_random_arm_has_its_share_at_any_stopping_point(log, strategy, share):
    arms = orders(log, count=300, strategy=strategy, random_share=share)["drawn_by"] == "random"
    shares = arms.cumsum() / np.arange(1, len(arms) + 1)
    assert shares.min() >= share
    assert shares[len(shares) // 3 :].max() < share + 0.01


def test_the_random_arm_is_rounded_up_for_few_items(log):
    for items, share, least in ((4, 0.2, 1), (7, 0.2, 2), (7, 0.5, 4)):
        order = in_order(drafts(items, 1), "ann", "cluster", share, 0, "")
        assert (order["drawn_by"] == "random").sum() == least


@pytest.mark.parametrize("whose_order", ["ann", ""])
def test_the_random_arm_is_a_random_sample_at_any_stopping_point(whose_order):
    """Over 600 seeds, its first 10 items have the mean of all items; the strategy's do not."""
    frame = drafts(100, 1)
    values = frame.drop_duplicates("instruction_id").set_index("instruction_id")["uncertainty"]
    means: dict[str, list[float]] = defaultdict(list)
    for seed in range(600):
        order = in_order(frame, "ann", "uncertainty", 0.2, seed, whose_order)
        for arm in ("random", "uncertainty"):
            means[arm].append(values[order["item_id"][order["drawn_by"] == arm][:10]].mean())
    spread = values.std() / np.sqrt(10 * 600)
    z = {arm: (np.mean(found) - values.mean()) / spread for arm, found in means.items()}
    assert abs(z["random"]) < 3.5, z
    assert z["uncertainty"] > 50, z


def test_an_item_is_in_the_same_arm_for_all_annotators(log):
    for wanted in (None, 2):
        ann, ben = (orders(log, who, strategy="cluster", wanted=wanted) for who in ("ann", "ben"))
        arms = [frame.set_index("item_id")["drawn_by"].sort_index() for frame in (ann, ben)]
        assert arms[0].equals(arms[1])


def test_the_most_uncertain_come_first(log):
    rows = orders(log, strategy="uncertainty")
    items = rows["item_id"][rows["drawn_by"] == "uncertainty"]
    figures = [int(item.split("-")[0][1:]) for item in items]
    assert figures == sorted(figures, reverse=True)


def test_clusters_take_turns_starting_with_the_least_covered_by_the_random_arm(log):
    rows = orders(log, count=180, strategy="cluster")
    cluster = drafts(180).set_index("instruction_id")["cluster"].groupby(level=0).first()
    of = rows.assign(cluster=rows["item_id"].map(cluster))
    reached = of["cluster"][of["drawn_by"] == "random"].value_counts()
    turns = of["cluster"][of["drawn_by"] == "cluster"].tolist()
    for start in (0, 10, 20):
        turn = turns[start : start + 10]
        assert sorted(turn) == list(range(10))
        gaps = [reached.get(number, 0) for number in turn]
        assert gaps == sorted(gaps)
    assert turns[9] == 0  # the random arm covers the largest cluster most


def test_items_are_handed_out_in_order_and_once(open_log):
    log = open_log()
    queue = Queue(log, drafts(4), "ann", repeats=0)
    rows = judge_all(log, queue)
    pd.testing.assert_frame_equal(pd.DataFrame(rows)[ORDER], queue.items())
    assert {row["figure_id"] for row in rows} == {"F0", "F1", "F2", "F3"}
    assert queue.take() == [] and queue.progress == (12, 12)
    judged = log.preferences().query("annotator == 'ann'")
    assert set(judged["item_id"]) == set(queue.items()["item_id"])


def test_several_items_at_once_are_handed_out_in_order(log):
    queue = Queue(log, drafts(4), "ann", repeats=0)
    taken = [queue.take(5) for _ in range(4)]
    assert [len(rows) for rows in taken] == [5, 5, 2, 0]
    assert [row["item_id"] for rows in taken for row in rows] == list(queue.items()["item_id"])


def test_the_last_place_of_an_item_is_handed_out_once(log):
    queues = {who: Queue(log, drafts(4), who, wanted=2, repeats=0) for who in ("a", "b", "c")}
    handed = Counter()
    while rows := [row for queue in queues.values() for row in queue.take()]:
        handed.update(row["item_id"] for row in rows)
    assert set(handed.values()) == {2} and len(handed) == 12


def test_released_and_expired_places_are_free_and_judged_places_are_not(log):
    ann, ben = (Queue(log, drafts(2), who, wanted=1, repeats=0) for who in ("ann", "ben"))
    rows = ann.take(6)
    assert ben.take() == []
    judge(log, rows[2], "ann")
    ann.release()
    back = [row["item_id"] for row in ben.take(6)]
    assert back == [row["item_id"] for row in rows if row is not rows[2]]
    assert ann.take() == []
    ben.release()
    brief = Queue(log, drafts(2), "cleo", wanted=1, repeats=0, lease=1e-9)
    assert len(brief.take(6)) == 5
    assert [row["item_id"] for row in ann.take(6)] == back


def test_simulated_clinicians_take_no_place(log):
    """An item judged by programs is still handed to the wanted number of people."""
    for row in Queue(log, drafts(2), signed("strict"), repeats=0).take(6):
        judge(log, row, signed("strict"))
    ann = Queue(log, drafts(2), "ann", wanted=1, repeats=0)
    assert ann.progress == (0, 6) and len(ann.take(9)) == 6


def test_a_release_keeps_the_places_of_judged_items(log):
    ann, ben = (Queue(log, drafts(2), who, wanted=1, repeats=0) for who in ("ann", "ben"))
    rows = ann.take(2)
    judge(log, rows[0], "ann")
    ann.release()
    log.undo("ann")  # the lease still holds
    assert [row["item_id"] for row in ben.take(9)] == list(ben.items()["item_id"][1:])


def test_after_a_reload_an_annotator_gets_the_leased_items_and_no_judged_item(open_log):
    log, settings = open_log(), {"wanted": 1, "repeats": 0}
    before, ben = Queue(log, drafts(4), "ann", **settings), Queue(log, drafts(4), "ben", **settings)
    first = ben.take()
    rows = before.take(4)
    judge(log, rows[0], "ann")
    ben.release()
    after = Queue(open_log(), drafts(4), "ann", **settings)
    items = [row["item_id"] for row in after.take(4)]
    assert items == [row["item_id"] for row in [*rows[1:], *first]]
    assert after.progress == (1, 12)


def test_an_item_taken_in_one_tab_is_not_handed_to_another(log):
    for wanted in (None, 2):
        one, two = (Queue(log, drafts(4), "ann", wanted=wanted, repeats=0) for _ in range(2))
        taken = [queue.take()[0]["item_id"] for _ in range(6) for queue in (one, two)]
        assert len(set(taken)) == 12 and one.take() == two.take() == []
        one.release()
        two.release()


def test_an_undone_judgement_frees_its_place(log):
    ann, ben = (Queue(log, drafts(2), who, wanted=1, repeats=0) for who in ("ann", "ben"))
    [row] = ann.take()
    judge(log, row, "ann")
    assert ben.take(6)[0]["item_id"] != row["item_id"] and ben.progress == (0, 5)
    log.undo("ann")
    assert ben.progress == (0, 6) and ben.take() == []  # ann still holds it
    ann.release()
    ann_again = Queue(log, drafts(2), "ann", wanted=1, repeats=0)
    assert ann_again.take()[0]["item_id"] == row["item_id"]


def test_the_end_of_an_earlier_session_keeps_the_leases_of_a_later_one(open_log):
    log, settings = open_log(), {"wanted": 1, "repeats": 0}
    before, ben = Queue(log, drafts(4), "ann", **settings), Queue(log, drafts(4), "ben", **settings)
    held = before.take(4)
    after = Queue(open_log(), drafts(4), "ann", **settings)
    kept = after.take(2)
    before.release()  # the closed page's kernel ends some minutes after the reload
    given_back = {row["item_id"] for row in held} - {row["item_id"] for row in kept}
    taken = {row["item_id"] for row in ben.take(99)}
    assert given_back <= taken and not taken & {row["item_id"] for row in kept}


@pytest.mark.parametrize("wanted", [None, 1])
def test_an_undone_judgement_of_an_earlier_session_is_handed_out_again(log, wanted):
    before = Queue(log, drafts(2), "ann", wanted=wanted, repeats=0)
    items = list(before.items()["item_id"])
    judge_all(log, before, 4)
    later = Queue(log, drafts(2), "ann", wanted=wanted, repeats=0, lease=1e-9)
    log.undo("ann")
    before.release()
    assert later.progress == (3, 6)
    assert [row["item_id"] for row in later.take(9)] == items[3:]


def test_items_judged_elsewhere_after_opening_are_not_handed_out(log):
    ann = Queue(log, drafts(2), "ann", wanted=1, repeats=0)
    rows = ann.items().assign(repeat_of=None).to_dict("records")
    judge(log, rows[0], "ann")  # without a lease, as an import or after the lease expired
    judge(log, rows[1], "ben")
    assert [row["item_id"] for row in ann.take(9)] == [row["item_id"] for row in rows[2:]]
    assert ann.progress == (1, 5)


def test_calibrations_and_adjudications_by_others_take_no_place(log):
    queue = Queue(log, drafts(1), "ann", wanted=1, repeats=0)
    row = queue.items().iloc[0].to_dict() | {"repeat_of": None}
    for who, arm in (("cleo", "calibration"), ("ben", "adjudication")):
        judge(log, row | {"drawn_by": arm}, who)
    assert queue.progress == (0, 3) and len(queue.take(3)) == 3


@pytest.mark.parametrize("arm", ["calibration", "adjudication"])
def test_an_item_judged_with_others_votes_in_view_is_closed_for_voting(log, arm):
    before = Queue(log, drafts(2), "ann", repeats=0)
    rows = before.items().assign(repeat_of=None).to_dict("records")
    judge(log, rows[1] | {"drawn_by": arm}, "ann")
    for queue in (before, Queue(log, drafts(2), "ann", repeats=0)):
        assert queue.progress == (0, 5)
        assert [row["item_id"] for row in queue.take(2)] == [rows[n]["item_id"] for n in (0, 2)]
        queue.release()
    log.undo("ann")
    assert before.progress == (0, 6) and before.take(2)[1]["item_id"] == rows[1]["item_id"]


@pytest.mark.parametrize("arm", ["calibration", "adjudication"])
def test_a_held_item_closes_once_its_annotator_saw_others_votes(log, arm):
    queue = Queue(log, drafts(2), "ann", repeats=0)
    rows = queue.take(3)
    judge(log, rows[0], "ann")
    judge(log, rows[1] | {"drawn_by": arm}, "ann")
    judge(log, rows[2] | {"drawn_by": arm}, "ben")
    assert queue.still_open(rows) == rows[2:]
    queue.release()
    assert [row["item_id"] for row in queue.take(9)] == list(queue.items()["item_id"][2:])


def test_a_held_repeat_is_open_until_it_is_judged_as_a_repeat(log):
    queue = Queue(log, drafts(20), "ann", repeats=0.5)
    rows = []
    while not rows or not rows[0]["repeat_of"]:
        rows = queue.take()
        if not rows[0]["repeat_of"]:
            judge(log, rows[0], "ann")
    assert queue.still_open(rows) == rows
    judge(log, rows[0], "ann")
    assert queue.still_open(rows) == []
    log.undo("ann")
    queue.hold(rows[0])
    others = judge_all(log, queue)
    assert rows[0]["item_id"] not in {row["item_id"] for row in others}


def test_items_released_by_a_closed_window_are_leased_again_by_the_open_window(log):
    first = Queue(log, drafts(2), "ann", wanted=1, repeats=0)
    shown = first.take(3)
    second = Queue(log, drafts(2), "ann", wanted=1, repeats=0)
    assert second.take(3) == shown
    second.release()
    ben = Queue(log, drafts(2), "ben", wanted=1, repeats=0)
    [lost] = ben.take()
    judge(log, shown[1], "ann")
    new = first.take()
    free = {row["item_id"] for row in ben.take(9)}
    assert lost["item_id"] == shown[0]["item_id"]  # taken before the first window noticed
    assert free == set(first.items()["item_id"]) - {row["item_id"] for row in [*shown, *new]}
    first.release()
    assert {row["item_id"] for row in ben.take(9)} == {shown[2]["item_id"], new[0]["item_id"]}


def test_a_card_open_longer_than_its_lease_leases_its_untaken_items_again(log, clock):
    ann, ben = (Queue(log, drafts(2), who, wanted=1, repeats=0) for who in ("ann", "ben"))
    shown = ann.take(3)
    clock.now += 1000
    ann.take(0)
    clock.now += 1000  # over the first lease, not over the second
    late = Queue(log, drafts(2), "cleo", wanted=1, repeats=0)
    assert not {row["item_id"] for row in late.take(2)} & {row["item_id"] for row in shown}
    clock.now += 5000
    [taken] = ben.take()
    ann.take(0)
    assert taken["item_id"] == shown[0]["item_id"]
    assert not {row["item_id"] for row in ben.take(9)} & {row["item_id"] for row in shown}


def test_a_lease_is_renewed_once_and_only_near_its_end(log, clock):
    queue = Queue(log, drafts(2), "ann", wanted=1, repeats=0)
    [row] = queue.take()
    queue.take(0)
    queue.hold(row)
    assert leases(log) == 1
    clock.now += 1000
    queue.hold(row)
    assert leases(log) == 2


def test_an_item_reopened_by_an_undo_is_held_until_judged_or_released(log, clock):
    before = Queue(log, drafts(2), "ann", wanted=1, repeats=0)
    rows = before.take(2)
    for row in rows:
        judge(log, row, "ann")
    ann, ben = (Queue(log, drafts(2), who, wanted=1, repeats=0) for who in ("ann", "ben"))
    clock.now += 5000
    log.undo("ann")
    again = log.history().iloc[1].to_dict()  # as the card passes it, with NaN for missing values
    ann.hold(again)
    ann.hold(rows[0])  # still judged: nothing to hold
    free = list(ann.items()["item_id"][2:])
    assert [row["item_id"] for row in ben.take(9)] == free
    ben.release()
    assert [row["item_id"] for row in ann.take(9)] == free
    ann.release()
    assert {row["item_id"] for row in ben.take(9)} == {again["item_id"], *free}
    before = leases(log)
    ann.hold(again)  # ben has it now
    assert leases(log) == before and ann.still_open([again]) == [again]


def test_a_vote_also_adjudicated_is_counted_once_and_never_repeated(log):
    queue = Queue(log, drafts(20), "ann", repeats=0.5)
    rows = judge_all(log, queue, 18)
    for row in rows:
        judge(log, row | {"drawn_by": "adjudication"}, "ann")
    assert queue.progress[0] == 18
    repeated = {row["item_id"] for row in judge_all(log, queue) if row["repeat_of"]}
    assert repeated and not repeated & {row["item_id"] for row in rows}
    assert queue.progress[0] == queue.progress[1] and len(log.preferences()) == 60


def test_about_one_judgement_in_twenty_repeats_an_item_more_than_ten_items_back(log):
    queue = Queue(log, drafts(400, 1), "ann", strategy="cluster")
    rows = judge_all(log, queue)
    events = log.history().set_index("event_id")
    item_of, arm_of = events["item_id"], events["drawn_by"]
    place_of = {row["item_id"]: n for n, row in enumerate(rows) if not row["repeat_of"]}
    repeats = [(n, row) for n, row in enumerate(rows) if row["repeat_of"]]
    assert len(place_of) == 400 and 0.03 < len(repeats) / len(rows) < 0.07
    for n, row in repeats:
        assert item_of[row["repeat_of"]] == row["item_id"]
        assert arm_of[row["repeat_of"]] == row["drawn_by"]
        assert n - place_of[row["item_id"]] > GAP
    assert len({row["item_id"] for _, row in repeats}) == len(repeats)
    turned = [row["left_id"] != rows[place_of[row["item_id"]]]["left_id"] for _, row in repeats]
    assert any(turned) and not all(turned)
    assert len(log.preferences()) == 400


def test_the_share_of_repeats_is_the_share_set(log):
    acts = [
        bool(row["repeat_of"])
        for n in range(5)
        for row in judge_all(log, Queue(log, drafts(60, 1), f"p{n}", repeats=0.2))[2 * GAP :]
    ]
    assert abs(np.mean(acts) - 0.2) < 3 * np.sqrt(0.2 * 0.8 / len(acts))


def test_repeats_and_progress_continue_after_a_reload(log):
    straight = Queue(log, drafts(20), "ann", repeats=0.2)
    rows = judge_all(log, straight, 45)
    assert any(row["repeat_of"] for row in rows)
    again = Queue(log, drafts(20), "ann", repeats=0.2)
    assert again.progress == straight.progress and again.progress[0] == 45
    kept = judge_all(log, again)
    assert len({row["item_id"] for row in [*rows, *kept]}) == 60
    done, total = again.progress
    assert done == total == len(rows) + len(kept)


def test_progress_rises_by_one_per_judgement_up_to_its_total(log):
    queue = Queue(log, drafts(20), "ann", repeats=0.2)
    for act in range(1, 1_000):
        if not (rows := queue.take()):
            break
        judge(log, rows[0], "ann")
        done, total = queue.progress
        assert done == act and total >= done
    assert done == total and done > 60


def test_an_item_with_enough_judgements_by_others_is_not_handed_out(log):
    for who in ("ben", "cleo"):
        assert len(judge_all(log, Queue(log, drafts(2), who, wanted=2, repeats=0), 4)) == 4
    late = Queue(log, drafts(2), "ann", wanted=2, repeats=0)
    assert late.progress == (0, 2)
    assert len(judge_all(log, late)) == 2 and late.progress == (2, 2)


def test_eight_concurrent_annotators_give_every_item_two_judgements(open_log):
    everyone = [f"p{n}" for n in range(8)]
    handed: list[tuple[str, str]] = []
    faults: list[BaseException] = []

    def work(who: str) -> None:
        try:
            log = open_log()
            queue = Queue(log, drafts(12), who, wanted=2)
            while rows := queue.take(2):
                handed.extend((row["item_id"], who) for row in rows if not row["repeat_of"])
                for row in rows:
                    judge(log, row, who)
        except BaseException as fault:  # noqa: BLE001  (shown by the test)
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(who,)) for who in everyone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert set(Counter(item for item, _ in handed).values()) == {2}
    assert len(handed) == len(set(handed)) == 72
    assert len(open_log().preferences()) == 72


def test_a_fixed_queue_hands_out_its_rows_in_order(log):
    rows = orders(log).head(3).assign(drawn_by="calibration")
    queue = FixedQueue(rows, "ann")
    taken = queue.take(2)
    assert [row["item_id"] for row in taken] == list(rows["item_id"][:2])
    assert taken[0]["repeat_of"] is None and taken[0]["drawn_by"] == "calibration"
    assert queue.progress == (2, 3)
    assert len(queue.take(2)) == 1 and queue.take() == []
    queue.release()
    assert queue.progress == (0, 3) and len(queue.take(9)) == 3


def test_a_fixed_queue_with_a_log_skips_items_judged_in_its_arm(log):
    rows = orders(log).head(3).assign(drawn_by="calibration")
    queue = FixedQueue(rows, "ann", log)
    [row] = queue.take()
    judge(log, row | {"drawn_by": "random"}, "ann")
    assert queue.progress == (0, 3)
    judge(log, row, "ann")
    again = FixedQueue(rows, "ann", log)
    assert queue.progress == again.progress == (1, 3)
    taken = again.take(9)
    assert [row["item_id"] for row in taken] == list(rows["item_id"][1:])
    assert again.still_open([row, *taken]) == taken and FixedQueue(rows, "ann").still_open([row])
    again.hold(row)
    assert again.progress == (1, 3)
    queue.release()
    assert len(queue.take(9)) == 2
