"""Who goes so that another model fits: a table, and what holds for any models."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.memory.amount import Amount, Budget, total, words
from predictor.memory.choose import Choice, Holding, choose
from torpor.errors import LoadError


def model(name: str, host: int, *flags: str, last_use: int = 0, gpu: int = 0) -> Holding[str]:
    return Holding(
        name, name, Amount(host, gpu), last_use, "used" in flags, "pinned" in flags, is_leaving="leaving" in flags
    )


A, B, C = (model(name, 10, last_use=use) for name, use in (("a", 1), ("b", 2), ("c", 3)))


@pytest.mark.parametrize(
    ("need", "budget", "here", "go", "awaited"),
    [
        pytest.param(Amount(5), Budget(), [A, B], "", "", id="no limit"),
        pytest.param(Amount(10), Budget(40), [A, B, C], "", "", id="fits to the byte"),
        pytest.param(Amount(11), Budget(40), [A, B, C], "a", "", id="least recently used first"),
        pytest.param(Amount(11), Budget(40), [C, B, A], "a", "", id="in whatever order they are told"),
        pytest.param(Amount(21), Budget(40), [A, B, C], "ab", "", id="as many as it needs"),
        pytest.param(Amount(40), Budget(40), [A, B, C], "abc", "", id="all, to the byte"),
        pytest.param(
            Amount(16), Budget(35), [model("a", 1, last_use=1), B, C], "ab", "", id="small ones are not passed over"
        ),
        pytest.param(
            Amount(1), Budget(30), [model("a", 10, "used"), B, C], "b", "", id="an idle one before a used one"
        ),
        pytest.param(
            Amount(11),
            Budget(30),
            [model("a", 10, "used"), B, model("c", 10, "used", last_use=3)],
            "b",
            "a",
            id="one that is used is waited for",
        ),
        pytest.param(Amount(1), Budget(30), [model("a", 10, "pinned"), B, C], "b", "", id="one that is pinned stays"),
        pytest.param(
            Amount(1), Budget(30), [A, B, model("c", 10, "leaving")], "", "c", id="what leaves anyway spares the others"
        ),
        pytest.param(
            Amount(11), Budget(30), [A, B, model("c", 10, "leaving")], "a", "c", id="unless that is not enough"
        ),
        pytest.param(
            Amount(5, 5),
            Budget(100, 10),
            [model("a", 20, last_use=1), model("b", 5, gpu=5, last_use=2), model("c", 5, gpu=5, last_use=3)],
            "b",
            "",
            id="what holds nothing of what lacks stays",
        ),
        pytest.param(
            Amount(20, 5),
            Budget(30, 10),
            [model("a", 20, last_use=1), model("b", 5, gpu=5, last_use=2), model("c", 5, gpu=5, last_use=3)],
            "ab",
            "",
            id="both kinds",
        ),
        pytest.param(Amount(0), Budget(5), [A], "a", "", id="over budget already"),
    ],
)
def test_choice(need: Amount, budget: Budget, here: list[Holding[str]], go: str, awaited: str) -> None:
    choice = choose("new", need, budget, here)
    assert ("".join(each.of for each in choice.go), "".join(each.of for each in choice.awaited)) == (go, awaited)


@pytest.mark.parametrize(
    ("need", "budget", "here", "says"),
    [
        pytest.param(
            Amount(2**30),
            Budget(2**29),
            [A],
            "model 'new' needs 1.0 GiB of memory, and all models together may take 512.0 MiB "
            "(TORPOR_PREDICTOR_MEMORY_BUDGET); what stays here takes nothing",
            id="larger than all of it",
        ),
        pytest.param(
            Amount(25),
            Budget(40),
            [model("first", 20, "pinned"), A],
            "model 'new' needs 25 B of memory, and all models together may take 40 B "
            "(TORPOR_PREDICTOR_MEMORY_BUDGET); what stays here takes first 20 B",
            id="beside what stays",
        ),
        pytest.param(
            Amount(1, 9),
            Budget(None, 8),
            [],
            "model 'new' needs 9 B of the GPU's memory, and all models together may take 8 B "
            "(TORPOR_PREDICTOR_GPU_MEMORY_BUDGET); what stays here takes nothing",
            id="the GPU",
        ),
    ],
)
def test_it_never_fits(need: Amount, budget: Budget, here: list[Holding[str]], says: str) -> None:
    with pytest.raises(LoadError) as error:
        choose("new", need, budget, here)
    assert (str(error.value), error.value.stage, error.value.retryable) == (says, "open", False)


amounts = st.builds(Amount, st.integers(0, 20), st.integers(0, 20))
limits = st.none() | st.integers(0, 60)


@st.composite
def models(draw: st.DrawFn) -> list[Holding[int]]:
    uses = draw(st.lists(st.integers(0, 50), unique=True, max_size=8))
    flags = st.booleans()
    return [
        Holding(index, str(index), draw(amounts), use, draw(flags), draw(flags), draw(flags))
        for index, use in enumerate(uses)
    ]


@given(amounts, st.builds(Budget, limits, limits), models())
def test_whatever_is_here(need: Amount, budget: Budget, here: list[Holding[int]]) -> None:
    """The rest fits the budget; who is used or pinned is not sent away; the last to go was needed; order is kept."""
    try:
        choice = choose("new", need, budget, here)
    except LoadError:
        staying = total(each.takes for each in here if each.is_pinned)
        assert budget.lacks(staying + need) != Amount()
        return
    chosen = (*choice.go, *choice.awaited)
    rest = [each for each in here if each not in chosen]
    assert budget.lacks(total(each.takes for each in rest) + need) == Amount()
    assert not any(each.is_used or each.is_pinned or each.is_leaving for each in choice.go)
    assert all((each.is_used or each.is_leaving) and not each.is_pinned for each in choice.awaited)
    if chosen:
        last = max(chosen, key=lambda each: (not each.is_leaving, each.is_used, each.last_use))
        assert budget.lacks(total(each.takes for each in (*rest, last)) + need) != Amount()
    else:
        assert choice == Choice()


@given(st.integers(1, 20), st.integers(1, 100), models())
def test_of_one_kind_the_least_recently_used_go(need: int, limit: int, here: list[Holding[int]]) -> None:
    """Whoever stays, could go, and takes anything, was used later than all who go."""
    try:
        choice = choose("new", Amount(need), Budget(limit), here)
    except LoadError:
        return
    idle = [each for each in here if not (each.is_used or each.is_pinned or each.is_leaving) and each.takes.host]
    assert list(choice.go) == sorted(idle, key=lambda each: each.last_use)[: len(choice.go)]


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 2**29, "1.5 GiB"), (2**60, "1048576.0 TiB")],
)
def test_words(count: int, said: str) -> None:
    assert words(count) == said
