"""The schedule explorer finds what it must find, and prunes nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.simulation.explorer import Crash, Killed, Run, Step, explore, replay

Hook = Callable[[str, str], None]


def _counters(world: dict[str, int], hooks: Sequence[Hook]) -> list[Callable[[], object]]:
    """Two jobs that read a counter, then write it one higher: the classic lost update."""

    def job(hook: Hook) -> Callable[[], object]:
        def work() -> None:
            hook("cell", "read")
            value = world["n"]
            hook("cell", "write")
            world["n"] = value + 1

        return work

    return [job(hook) for hook in hooks] or [lambda: None, lambda: None]


def _never(one: Step, other: Step) -> bool:
    return False


def _reads_commute(one: Step, other: Step) -> bool:
    return one[1] == other[1] == "read"


def _new() -> dict[str, int]:
    return {"n": 0}


def test_all_interleavings_of_two_jobs_of_two_steps_are_six() -> None:
    seen: list[tuple[int, ...]] = []

    count = explore(_new, _counters, lambda run: seen.append(tuple(run.schedule)), _never)

    assert count == 6
    assert len(set(seen)) == 6


def test_orders_that_differ_only_in_reads_are_walked_once_and_no_outcome_is_missed() -> None:
    outcomes: list[int] = []

    count = explore(_new, _counters, lambda run: outcomes.append(run.world["n"]), _reads_commute)

    assert count == 4  # one after the other, twice; both read first, then either writes first
    assert set(outcomes) == {1, 2}


def test_a_violation_names_the_schedule_and_the_schedule_replays() -> None:
    def no_update_is_lost(run: Run[dict[str, int]]) -> None:
        assert run.world["n"] == 2

    with pytest.raises(AssertionError, match="schedule") as caught:
        explore(_new, _counters, no_update_is_lost, _reads_commute)

    schedule = [int(digit) for digit in str(caught.value).partition("[")[2].partition("]")[0].split(",")]
    assert replay(_new, _counters, schedule).world["n"] == 1


@pytest.mark.parametrize(("crash", "value"), [(Crash(0, 2, after=False), 1), (Crash(0, 2, after=True), 2)])
def test_a_crash_before_a_step_has_no_effect_and_after_it_has_one(crash: Crash, value: int) -> None:
    run = replay(_new, _counters, [0, 0, 1, 1], crash)

    assert isinstance(run.results[0], Killed)
    assert run.world["n"] == value
