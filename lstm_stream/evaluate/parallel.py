"""Work over processes: the same results in the same order, whatever their number."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import ExitStack, contextmanager
from typing import Protocol, TypeVar

from lstm_stream.replay import Advance, progress

Job = TypeVar("Job")
Result = TypeVar("Result")
JobT = TypeVar("JobT", contravariant=True)
ResultT = TypeVar("ResultT", covariant=True)

TICK = 0.1  # s between two looks at what is done


class Work(Protocol[JobT, ResultT]):
    """A function at module level, so that another process finds it; it tells `advance` how far it has come."""

    def __call__(self, job: JobT, advance: Advance | None) -> ResultT:
        """The result of a job."""


def processes(asked: int | None) -> int:
    """How many to use."""
    return asked or os.cpu_count() or 1


def each(work: Work[Job, Result], jobs: Sequence[Job], count: int, total: int, label: str) -> list[Result]:
    """The results of all jobs; `total` is how far they advance together, for the bar."""
    with progress(total, label) as advance:
        if count == 1 or len(jobs) < 2:
            return [work(job, advance) for job in jobs]
        return _spread(work, jobs, min(count, len(jobs)), advance)


def _spread(work: Work[Job, Result], jobs: Sequence[Job], count: int, advance: Advance | None) -> list[Result]:
    context = multiprocessing.get_context("spawn")  # a fork would copy threads that do not run in it
    with ExitStack() as stack:
        with _deaf():
            news = stack.enter_context(context.Manager()).Queue()
            pool = stack.enter_context(ProcessPoolExecutor(count, context))
            futures = [pool.submit(_report, work, job, news.put) for job in jobs]
        try:
            _follow(futures, news, advance)
            return [future.result() for future in futures]
        except BaseException:  # Ctrl-C, or a job that failed: the others are of no use
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _report(work: Work[Job, Result], job: Job, advance: Advance) -> Result:
    return work(job, advance)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes started here never hear of Ctrl-C, which reaches the whole group: the first process ends the others."""
    if threading.current_thread() is not threading.main_thread():  # no other may change what a signal does
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(futures: Sequence[Future[Result]], news: queue.Queue[int], advance: Advance | None) -> None:
    """Pass progress on until all is done."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait_for(waiting, TICK)
        for future in done:
            future.result()  # raises what the job raised
        while advance and not news.empty():
            advance(news.get())


def balanced(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Numbers of the items, in at most `count` parts of about the same size, each in order."""
    parts: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    load = [0] * len(parts)
    for item in sorted(range(len(sizes)), key=lambda item: -sizes[item]):
        least = load.index(min(load))
        parts[least].append(item)
        load[least] += sizes[item]
    return [sorted(part) for part in parts]
