"""Which models of a repository are served, in which versions, by the names of the files alone."""

from __future__ import annotations

import pytest

from predictor.runtimes.triton.survey import Found, configurations, survey
from torpor.errors import InvalidInputError

PORTS = 'backend: "python" input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } '
ALL = PORTS + "version_policy { all { } }"
TWO = PORTS + "version_policy { latest { num_versions: 2 } }"
ONE = PORTS + "version_policy { specific { versions: [ 1 ] } }"


@pytest.mark.parametrize(
    ("names", "texts", "found"),
    [
        pytest.param(["1/model.onnx", "README"], {}, [Found("", 1, ())], id="a model without a configuration"),
        pytest.param(
            ["config.pbtxt", "1/model.py", "3/model.py", "10/model.py"],
            {"config.pbtxt": PORTS},
            [Found("", 10, ("1/", "3/"))],
            id="the highest",
        ),
        pytest.param(
            ["config.pbtxt", "1/model.py", "3/model.py", "10/model.py"],
            {"config.pbtxt": TWO},
            [Found("", 3, ("1/", "10/")), Found("", 10, ("1/", "3/"))],
            id="the two highest",
        ),
        pytest.param(
            ["a/config.pbtxt", "a/1/model.py", "a/2/model.py", "b/config.pbtxt", "b/1/model.py", "b/2/x"],
            {"a/config.pbtxt": ALL, "b/config.pbtxt": ONE},
            [Found("a", 1, ("2/",)), Found("a", 2, ("1/",)), Found("b", 1, ("2/",))],
            id="all of one, and one that is named",
        ),
        pytest.param(
            ["a/config.pbtxt", "a/1/model.py", "notes/readme.md"],
            {"a/config.pbtxt": "max_batch_size: -"},
            [Found("a", 1, ())],
            id="a configuration that its load will refuse",
        ),
    ],
)
def test_what_is_served(names: list[str], texts: dict[str, str], found: list[Found]) -> None:
    assert set(configurations(names)) == set(texts)
    assert survey(names, texts) == found


def test_versions_that_are_not_there() -> None:
    with pytest.raises(InvalidInputError, match=r"a/config.pbtxt: version_policy.specific.versions: '1' .* there is 2"):
        survey(["a/config.pbtxt", "a/2/model.py"], {"a/config.pbtxt": ONE})
