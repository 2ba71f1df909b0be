"""Tasks that run in the background while a block of code runs."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio


@asynccontextmanager
async def in_background(*starts: Callable[..., Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    """Run tasks while the block runs, which begins when each has called `task_status.started()`.

    They are cancelled at the end of the block. An error of the block, or of a task that starts, is
    raised as it is, as a caller that knows nothing of these tasks expects. An error that a task
    raises later cancels the block, and comes in an `ExceptionGroup`.
    """
    failure: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            try:
                for start in starts:
                    await tasks.start(start)
                yield
            except BaseException as error:
                failure = error
                raise
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if failure is None or group.exceptions != (failure,):
            raise
    if failure is not None:
        raise failure
