"""Times of day stay right over months: sound cards drift, and machines are set to another time."""

from __future__ import annotations

import pytest

from efficient_sed.inference.wall_clock import ALLOWED_S, CHECKED_S, WallClock

RATE = 1000


class Machine:
    """A machine's two clocks."""

    def __init__(self) -> None:
        self.ticks, self.set_to = 50.0, 1e9

    def now(self) -> float:
        return self.set_to + self.ticks

    def clock(self) -> WallClock:
        return WallClock(RATE, self.now, lambda: self.ticks)

    def listen(self, clock: WallClock, seconds: float, speed: float = 1.0) -> None:
        for _ in range(round(seconds * 10)):
            self.ticks += 0.1 / speed
            clock.add(RATE // 10)


def error_s(machine: Machine, clock: WallClock) -> float:
    return clock.time_of(clock.position_s) - machine.now()


def test_the_first_sample_is_as_old_as_its_chunk() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.ticks += 3.0  # the source takes a while to open
    clock.add(RATE // 2)
    assert clock.time_of(0.0) == pytest.approx(machine.now() - 0.5)


@pytest.mark.parametrize("drift", [-0.001, 0.001])
def test_a_sound_card_that_drifts(drift: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.listen(clock, 7200, 1 + drift)  # would be off by seven seconds
    assert abs(error_s(machine, clock)) < ALLOWED_S + CHECKED_S * abs(drift) + 0.1


def test_a_machine_that_learns_the_time_late() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.listen(clock, 30)
    machine.set_to += 1e6
    machine.listen(clock, 3 * CHECKED_S)
    assert abs(error_s(machine, clock)) < ALLOWED_S


def test_computing_between_chunks_changes_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(300):
        machine.ticks += 0.9  # sound waits while the last window is scored, then comes at once
        for _ in range(9):
            clock.add(RATE // 10)
        machine.listen(clock, 0.1)
    assert clock.time_of(0.0) == pytest.approx(machine.set_to + 50.0, abs=0.9)


def test_sound_that_is_not_live_keeps_its_first_time() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.listen(clock, 600, speed=60.0)
    assert clock.time_of(0.0) == pytest.approx(1e9 + 50.0, abs=0.1)
