"""Tests of what is predicted of many workers, by figures that are made up."""

import numpy as np
import pytest

from benchmarks import links, scaling

COMPUTE, OVERHEAD, TRIPS, GRADIENT = 0.5, 0.1, {2: 10, 4: 16}, 1e6


def _made_up(count, link):
    return COMPUTE + OVERHEAD + TRIPS[count] * scaling.LINKS[link].delay


@pytest.fixture
def measured():
    """Records of a network whose steps cost what the model says, with no bandwidth to wait for."""
    rows = [(count, link) for count, link in scaling._ROWS]
    linked = {row: {"seconds": _made_up(*row), "bytes_sent": GRADIENT} for row in rows}
    return {2: {"seconds": COMPUTE}, 4: {"seconds": COMPUTE}, **linked}


def test_trips_are_what_a_delay_costs(measured):
    assert {count: round(scaling._trips(measured, count)) for count in (2, 4)} == TRIPS


def test_the_model_says_what_it_was_made_of(measured):
    for count in (2, 4):
        found = scaling.predict(measured, TRIPS, count, links.Link(0.02))
        np.testing.assert_allclose(found, (COMPUTE, OVERHEAD + TRIPS[count] * 0.02))


def test_a_ring_waits_in_proportion_to_its_workers_and_sends_twice_the_gradient_at_most(measured):
    _, waiting = scaling.predict(measured, TRIPS, 64, links.Link(0.001, 1e8))
    np.testing.assert_allclose(waiting, OVERHEAD + (10 + 62 * 3) * 0.001 + 2 * 63 / 64 * GRADIENT / 1e8)


def test_the_tables_say_what_is_waited_for_and_the_batch_that_makes_up_for_it(measured, monkeypatch):
    monkeypatch.setattr(scaling, "_BATCH", type("Flag", (), {"value": 4}))
    rows = scaling._table_of_rows({"simple": measured}, TRIPS).splitlines()[2:]
    assert rows[0] == "| simple | 2 | no limit | 600 | 500 | 17% | 1.00 |  |"
    assert rows[1].endswith("| 603 |") and len(rows) == 6  # 602 ms and 0.8 of the bandwidth
    model = scaling._table_of_model({"simple": measured}, TRIPS).splitlines()[2:]
    assert model[0] == "| simple | 10 Gbit/s, 0.2 ms | 8 | 107 | 82% | 8 |"
