"""Futures that resume at once, beside what asyncio does with its own."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from edgeroute._native import DirectFuture

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]
COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("COLOUR", default="none")


def run(new_loop: Callable[[], asyncio.AbstractEventLoop], scenario: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(scenario(), 30))


def create() -> DirectFuture:
    return DirectFuture(asyncio.get_running_loop())


def outside(call: Callable[[], object]) -> "asyncio.Future[None]":
    """Call outside of any coroutine, as callbacks of sockets are."""
    done = asyncio.get_running_loop().create_future()

    def called() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 (handed on)
            done.set_exception(error)
        else:
            done.set_result(None)

    asyncio.get_running_loop().call_soon(called)
    return done


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize("result", [None, b"events", (1, 2)])
def test_who_waits_goes_on_before_set_result_returns(
    new_loop: Callable[[], asyncio.AbstractEventLoop], result: object
) -> None:
    async def scenario() -> None:
        future = create()
        seen: list[object] = []

        async def wait() -> None:
            COLOUR.set("own")
            seen.append("waits")
            seen.append(await future)
            seen.append(COLOUR.get())
            await asyncio.sleep(0)
            seen.append("later")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)

        def tell() -> None:
            future.set_result(result)
            seen.append("told")

        await outside(tell)
        await task
        assert seen == ["waits", result, "own", "told", "later"]
        assert COLOUR.get() == "none"

    run(new_loop, scenario)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_no_coroutine_interrupts_another(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scenario() -> None:
        future = create()
        seen: list[str] = []

        async def wait() -> None:
            await future
            seen.append("resumed")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        future.set_result(None)
        seen.append("told")
        await task
        assert seen == ["told", "resumed"]

    run(new_loop, scenario)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_result_that_is_there_already_does_not_suspend(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scenario() -> None:
        future = create()
        future.set_result(b"early")
        assert await future == b"early"
        assert future.result() == b"early"
        assert future.done()
        with pytest.raises(asyncio.InvalidStateError):
            future.set_result(b"again")

    run(new_loop, scenario)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_cancelling_the_task_ends_the_wait(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scenario() -> None:
        future = create()
        task = asyncio.ensure_future(wait_for_it(future))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert future.cancelled()
        with pytest.raises(asyncio.InvalidStateError):
            future.set_result(None)
        assert not future.cancel()

    async def wait_for_it(future: DirectFuture) -> object:
        return await future

    run(new_loop, scenario)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_asyncios_own_functions_take_it(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scenario() -> None:
        future = create()
        assert asyncio.isfuture(future)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(future, 0)
        first, second = create(), create()
        for order, each in enumerate((first, second)):
            asyncio.get_running_loop().call_soon(each.set_result, order)
        assert await asyncio.gather(first, second) == [0, 1]

    run(new_loop, scenario)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_several_may_wait(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scenario() -> None:
        future = create()
        told: list[object] = []
        future.add_done_callback(told.append)
        future.add_done_callback(told.clear)  # pyright: ignore[reportArgumentType]
        assert future.remove_done_callback(told.clear) == 1  # pyright: ignore[reportArgumentType]
        tasks = [asyncio.ensure_future(wait(future)) for _ in range(2)]
        await asyncio.sleep(0)
        await outside(lambda: future.set_result(1))
        assert [await task for task in tasks] == [1, 1]
        assert told == [future]
        future.add_done_callback(told.append)
        await asyncio.sleep(0)
        assert told == [future, future]

    async def wait(future: DirectFuture) -> object:
        return await future

    run(new_loop, scenario)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_what_ends_the_event_loop_is_not_swallowed(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scenario() -> None:
        future = create()

        async def wait() -> None:
            await future
            raise SystemExit(3)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        with pytest.raises(SystemExit):
            await outside(lambda: future.set_result(None))
        with pytest.raises(SystemExit):
            task.result()

    run(new_loop, scenario)
