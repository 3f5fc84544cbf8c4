"""A memory with a bound."""

from __future__ import annotations

from persqa_client.simulator.lru import Memory


def test_it_never_holds_more_than_its_size() -> None:
    memory = Memory[int, int](10)
    for number in range(1000):
        memory.put(number, number)
        assert len(memory) <= 10
    assert memory.get(999) == 999
    assert memory.get(0) is None


def test_what_is_used_stays() -> None:
    memory = Memory[str, int](10)
    memory.put("kept", 1)
    for number in range(100):
        memory.put(str(number), number)
        assert memory.get("kept") == 1


def test_a_new_value_takes_the_place_of_the_old_one() -> None:
    memory = Memory[str, int](4)
    for number in range(20):
        memory.put("one", number)
        memory.put(str(number), 0)
        assert memory.get("one") == number
