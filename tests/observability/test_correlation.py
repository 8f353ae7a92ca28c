"""One key: the ids that hold where something is told, whoever tells it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from observability import exemplars
from observability.correlation import bound, current


def test_ids_hold_within_their_block_beside_those_around():
    with bound(request_id="b3f1", job_id=UUID(int=1)):
        with bound(step="fetch", job_id=UUID(int=2)):
            assert current() == {"request_id": "b3f1", "job_id": str(UUID(int=2)), "step": "fetch"}
        assert current() == {"request_id": "b3f1", "job_id": str(UUID(int=1))}
    assert current() == {}


def test_ids_are_gone_after_a_block_that_raises():
    with pytest.raises(KeyboardInterrupt), bound(job_id=1):
        raise KeyboardInterrupt
    assert current() == {}


def test_an_empty_id_leaves_the_one_around_and_an_odd_name_is_left_out():
    with bound(request_id="b3f1"), bound(request_id="", job_id=None, **{"a b": 1, "ü": 2, "order": 0}):
        assert current() == {"request_id": "b3f1", "order": "0"}


def test_ids_go_along_into_async_code_and_its_threads_and_into_no_other():
    async def ask():
        return [current(), await sync_to_async(current)()]

    with bound(job_id=7), ThreadPoolExecutor() as pool:
        assert async_to_sync(ask)() == [{"job_id": "7"}] * 2
        assert pool.submit(current).result() == {}


def test_tasks_of_one_loop_do_not_see_the_ids_of_each_other():
    async def work(number):
        with bound(job_id=number):
            await asyncio.sleep(0.001)
            return current()["job_id"]

    async def all_of_them():
        return await asyncio.gather(*map(work, range(50)))

    assert asyncio.run(all_of_them()) == [str(number) for number in range(50)]


def test_exemplars_have_no_request_and_no_step_which_would_fill_their_room():
    with bound(request_id="x" * 128, step="y" * 100, job_id=7):
        assert exemplars.current() == {"job_id": "7"}
