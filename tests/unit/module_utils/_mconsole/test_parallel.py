# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many at once: in order, by one where that gets on, and by more where one is held up."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import parallel


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_the_results_have_the_order_of_the_items(count: int) -> None:
    assert parallel.map_in_parallel(lambda item: item * item, range(count)) == [item * item for item in range(count)]


def test_those_that_hang_are_waited_for_side_by_side() -> None:
    """Each ends only when all others are there too, so one after the other none would."""
    together = threading.Barrier(parallel.MAX_WORKERS)
    assert (
        len(parallel.map_in_parallel(lambda _item: together.wait(60), range(parallel.MAX_WORKERS)))
        == parallel.MAX_WORKERS
    )


def test_no_more_work_at_once_than_may() -> None:
    lock, now, most = threading.Lock(), [0], [0]
    wait = threading.Event()

    def work(_item: int) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] == parallel.MAX_WORKERS:
                wait.set()
        wait.wait(60)
        with lock:
            now[0] -= 1

    parallel.map_in_parallel(work, range(3 * parallel.MAX_WORKERS))
    assert most[0] == parallel.MAX_WORKERS


def test_what_one_raises_is_raised_when_all_are_done() -> None:
    done = []

    def work(item: int) -> None:
        if item == 1:
            raise ValueError(item)
        done.append(item)

    with pytest.raises(ValueError, match="1"):
        parallel.map_in_parallel(work, range(5))
    assert sorted(done) == [0, 2, 3, 4]
