"""Which archive of a place is the model, and what its manifest and configuration may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from predictor.runtimes.mar.manifest import MANIFEST, config, parse
from predictor.runtimes.mar.store import archive, choose, properties
from predictor.runtimes.pytorch import PyTorch
from tests.predictor.runtimes.mar.packing import manifest, opened, packed
from torpor.errors import InvalidInputError, LoadError, NotFoundError, TorporError, UnsupportedError

PROPERTIES = """# KServe's own example
inference_address=http://0.0.0.0:8085
load_models=all
model_store=/mnt/models/model-store
model_snapshot={"name":"startup.cfg","modelCount":1,\\
"models":{"b":{"1.0":{"defaultVersion":true,"marName":"b.mar","minWorkers":1}}}}
"""
STORE = ["config/config.properties", "model-store/a.mar", "model-store/b.mar"]
HANDLER = "def handle(data, context):\n    return data and [1 for each in data]\n"


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        pytest.param(["m.mar", "README.md"], ["m.mar"], id="a lone archive"),
        pytest.param(["m.tar.gz"], ["m.tar.gz"], id="a tar"),
        pytest.param(STORE, [*STORE[1:], STORE[0]], id="a model store"),
        pytest.param([MANIFEST, "h.py", "__pycache__/h.pyc"], [MANIFEST, "h.py"], id="a folder"),
        pytest.param([f"m/{MANIFEST}", "m/h.py", "x.txt"], [f"m/{MANIFEST}", "m/h.py"], id="a folder in a folder"),
    ],
)
def test_only_what_is_needed_is_fetched(names: list[str], chosen: list[str]) -> None:
    """Of a model store all archives: which of them it is, config.properties says later."""
    assert list(choose(names)) == chosen


@pytest.mark.parametrize(
    ("names", "error", "says"),
    [
        pytest.param(["model.pt"], NotFoundError, "no model archive: .*model-store.*MAR-INF/MANIFEST.json", id="none"),
        pytest.param(["deep/er/m.mar"], NotFoundError, "no model archive", id="too deep"),
        pytest.param(
            [f"a/{MANIFEST}", f"b/{MANIFEST}"], InvalidInputError, "a/, b/.*name its folder", id="two folders"
        ),
    ],
)
def test_a_place_without_one_model_is_told_so(names: list[str], error: type[TorporError], says: str) -> None:
    """With what would be one."""
    with pytest.raises(error, match=says):
        choose(names)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(PROPERTIES, "b.mar", id="a snapshot, over two lines"),
        pytest.param("load_models=a=a.mar", "a.mar", id="by name and file"),
        pytest.param("load_models = b.mar", "b.mar", id="by file"),
    ],
)
def test_of_several_archives_config_properties_names_one(tmp_path: Path, text: str, name: str) -> None:
    """In either of the two ways that TorchServe has."""
    (tmp_path / "config").mkdir()
    (tmp_path / STORE[0]).write_text(text)
    assert archive(tmp_path, choose(STORE)) == tmp_path / "model-store" / name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("load_models=all", r"model-store/a.mar, model-store/b.mar.*load_models of config", id="all"),
        pytest.param("load_models=a.mar,b.mar", "one model is needed", id="two"),
        pytest.param("load_models=c.mar", "one model is needed", id="one that is not there"),
        pytest.param("model_snapshot={", "model_snapshot: .* JSON is needed", id="no JSON"),
        pytest.param('model_snapshot={"models": []}', "model_snapshot: .* an object", id="no models"),
        pytest.param('model_snapshot={"models":{"m":{"1":{}}}}', r"models\.m\.1\.marName: None", id="no name"),
    ],
)
def test_a_store_that_names_no_single_one_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """With the field."""
    (tmp_path / "config").mkdir()
    (tmp_path / STORE[0]).write_text(text)
    with pytest.raises(InvalidInputError, match=says):
        archive(tmp_path, choose(STORE))


def test_properties_are_read_as_torchserve_writes_them() -> None:
    """Remarks and blanks do not matter; a value may hold an equals sign."""
    assert properties("# a=b\n\n a = b=c \nnonsense\n") == {"a": "b=c"}


@pytest.mark.parametrize(
    ("said", "error", "says"),
    [
        pytest.param("{", InvalidInputError, "MANIFEST.json: .*JSON is needed", id="no JSON"),
        pytest.param("[1]", InvalidInputError, r"MANIFEST.json: \[1\].*object", id="a list"),
        pytest.param("[" * 5000, InvalidInputError, "JSON is needed", id="deep"),
        pytest.param('{"model": 3}', InvalidInputError, r"json: model: 3 .* object", id="no model"),
        pytest.param('{"runtime": "LSP"}', UnsupportedError, "LSP", id="C++"),
        pytest.param('{"runtime": "java8"}', InvalidInputError, "runtime: 'java8'", id="a runtime"),
        pytest.param('{"model": {"handler": "h"}}', InvalidInputError, r"model\.modelName: None", id="no name"),
        pytest.param('{"model": {"modelName": "m"}}', InvalidInputError, r"model\.handler: None", id="no handler"),
        pytest.param(manifest("../h.py"), InvalidInputError, r"model\.handler: '\.\./h\.py'", id="a handler elsewhere"),
        pytest.param(manifest("h:a-b"), InvalidInputError, r"model\.handler: 'h:a-b'", id="no class"),
        pytest.param(manifest(serializedFile="/w.pt"), InvalidInputError, r"model\.serializedFile: '/w", id="absolute"),
        pytest.param(manifest(modelFile="../n.py"), InvalidInputError, r"model\.modelFile: .*leads out", id="out"),
        pytest.param(
            manifest(configFile=["c"]), InvalidInputError, r"model\.configFile: \['c'\]", id="a list of files"
        ),
        pytest.param(manifest(modelVersion="1/2"), InvalidInputError, r"model\.modelVersion: '1/2'", id="a version"),
        pytest.param(manifest(modelVersion=2), InvalidInputError, r"model\.modelVersion: 2", id="a number"),
        pytest.param(manifest(modelFile="n.py"), InvalidInputError, "modelFile: 'n.py' .*no such file", id="not in it"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_with_its_field(
    tmp_path: Path, said: str, error: type[TorporError], says: str
) -> None:
    """Before any of its code runs."""
    with pytest.raises(error, match=says):
        opened(packed(tmp_path / "m.mar", {"handler.py": "raise SystemExit"}, said))


def test_a_zip_that_is_no_archive_is_told_what_it_lacks(tmp_path: Path) -> None:
    """It may be any zip."""
    path = packed(tmp_path / "m.mar", {})
    path.write_bytes(path.read_bytes().replace(b"MAR-INF", b"RAM-INF"))
    with pytest.raises(LoadError, match=r"no model archive of TorchServe.s: there is no MAR-INF/MANIFEST\.json"):
        opened(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("a: !!python/object/apply:os.system ['touch /tmp/x']", "could not determine a", id="code"),
        pytest.param("a: [", "plain YAML", id="no YAML"),
        pytest.param("- 1", r"\[1\] .* mapping", id="a list"),
        pytest.param("a: " + "[" * 3000, "plain YAML", id="deep"),
        pytest.param("batchSize: many", "c.yaml: batchSize: 'many'", id="a size"),
        pytest.param("maxWorkers: 0", "c.yaml: maxWorkers: 0", id="no workers"),
    ],
)
def test_configuration_is_plain_yaml(tmp_path: Path, text: str, says: str) -> None:
    """CVE-2022-1471: YAML's tags made objects, and objects ran code."""
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InvalidInputError, match=says):
        config(tmp_path, parse(manifest(configFile="c.yaml").encode()))


def test_configuration_may_be_empty(tmp_path: Path) -> None:
    """Or not there at all."""
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert config(tmp_path, parse(manifest(configFile="c.yaml").encode())) == {}
    assert config(tmp_path, parse(manifest().encode())) == {}


@pytest.mark.parametrize("name", ["m.mar", "m.tar.gz"])
def test_what_is_unpacked_goes_when_the_model_is_closed(tmp_path: Path, name: str) -> None:
    """And when it does not open."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    model = opened(packed(tmp_path / "a" / name, {"handler.py": HANDLER}), scratch)
    assert len(list(scratch.iterdir())) == 1
    assert (model.version, model.predict([{"data": 3}])) == ("2.0", [1])
    model.close()
    with pytest.raises(LoadError):
        opened(packed(tmp_path / "b" / name, {"handler.py": "raise SystemExit(3)"}), scratch)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("names", [["m.mar"], ["digits.tar.gz"], STORE, [MANIFEST, "h.py"]])
def test_an_archive_for_another_format_names_this_one(names: list[str]) -> None:
    """KServe's manifests for TorchServe say `pytorch`."""
    with pytest.raises(NotFoundError, match=r" is for TorchServe, .*: set modelFormat.name to mar$"):
        PyTorch().choose(names, allow_pickle=False)
