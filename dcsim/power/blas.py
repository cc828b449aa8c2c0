"""Matrix products on one thread, wherever a power model is stepped.

A step's matrices are small. BLAS would spread them over all cores, where its threads wait for one
another: on cores that others use too, such as beside the workers of a study, a step of 1,000
replicas then took 37 ms instead of 0.2 ms.
"""

from __future__ import annotations

from threadpoolctl import LibController, ThreadpoolController


class SingleThread:
    """A context in which BLAS libraries use one thread; outside it they keep the number they had.

    Going in and out takes some 3 microseconds, a quarter of `threadpoolctl.threadpool_limits`.
    """

    def __init__(self) -> None:
        self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self._outside: list[tuple[LibController, int]] = []

    def __enter__(self) -> None:
        counts = [(library, library.get_num_threads()) for library in self._libraries]
        self._outside = [(library, count) for library, count in counts if count > 1]
        for library, _ in self._outside:
            library.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        for library, count in self._outside:
            library.set_num_threads(count)
