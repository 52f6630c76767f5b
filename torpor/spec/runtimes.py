"""Which model formats are served here, and by which runtime: what KServe reads from its ServingRuntimes."""

from __future__ import annotations

from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.spec.fields import Fields

# As a manifest may name them, and as the predictor does.
FORMATS = {
    "huggingface": "huggingface",
    "lightgbm": "lightgbm",
    "mar": "mar",
    "onnx": "onnx",
    "python": "python",
    "pytorch": "pytorch",
    "sklearn": "sklearn",
    "torch": "pytorch",
    "transformers": "huggingface",
    "triton": "triton",
    "xgboost": "xgboost",
}
VERSION = "1"
"""What KServe's own runtimes call the version of most formats."""
VERSIONS = {"lightgbm": ("3", "4"), "xgboost": ("1", "2", "3")}
"""Where it is the library's, as KServe's have had it; a file of any of these is read."""
TORCHSERVE = "kserve-torchserve"
"""The runtime in KServe whose models are TorchServe's archives; the format is called pytorch there."""
TRITON = "kserve-tritonserver"
"""The runtime in KServe whose models are of Triton's repositories, whatever framework they name."""
_ONE_FORMAT = {TORCHSERVE: "mar", TRITON: "triton"}
PROTOCOLS = ("v1", "v2")

# Names of runtimes and the formats of each: ours, and KServe's for the same formats, so that its manifests run.
RUNTIMES = {
    "torpor-predictor": frozenset(FORMATS),
    "kserve-huggingfaceserver": frozenset({"huggingface", "transformers"}),
    "kserve-lgbserver": frozenset({"lightgbm"}),
    "kserve-sklearnserver": frozenset({"sklearn"}),
    TORCHSERVE: frozenset({"mar", "pytorch"}),
    TRITON: frozenset({"onnx", "pytorch", "triton"}),
    "kserve-xgbserver": frozenset({"xgboost"}),
}


class NoSupportingRuntimeError(InvalidInputError):
    """No runtime serves this format, version or protocol."""


class UnknownRuntimeError(InvalidInputError):
    """There is no runtime of this name."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a `model` asks to be served by, and where it says so."""

    fields: Fields
    format: str
    format_path: str
    """Where the format was named; in the legacy form the field's own name says it."""


def choose(choice: Choice) -> str:
    """Return the format as the predictor names it; raises where nothing here serves it."""
    served = ", ".join(FORMATS)
    if choice.format not in FORMATS:
        raise NoSupportingRuntimeError(choice.format_path, choice.format, f"the formats served here are {served}")
    _check_version(choice)
    _check_protocol(choice.fields)
    _check_runtime(choice)
    named = choice.fields.text("runtime")
    if named in _ONE_FORMAT:
        return _ONE_FORMAT[named]
    return FORMATS[choice.format]


def _check_version(choice: Choice) -> None:
    version = choice.fields.object("modelFormat").text("version")
    known = VERSIONS.get(choice.format, (VERSION,))
    if version.split(".")[0] not in {"", *known}:
        path = choice.fields.object("modelFormat").at("version")
        raise NoSupportingRuntimeError(path, version, f"{choice.format} is served in version {', '.join(known)}")


def _check_protocol(fields: Fields) -> None:
    protocol = fields.text("protocolVersion")
    if protocol and protocol not in PROTOCOLS:
        allowed = f"the protocols served here are {', '.join(PROTOCOLS)}"
        raise NoSupportingRuntimeError(fields.at("protocolVersion"), protocol, allowed)


def _check_runtime(choice: Choice) -> None:
    name = choice.fields.text("runtime")
    path = choice.fields.at("runtime")
    if name and name not in RUNTIMES:
        raise UnknownRuntimeError(path, name, f"the runtimes here are {', '.join(RUNTIMES)}; or leave it out")
    if name and choice.format not in RUNTIMES[name]:
        formats = ", ".join(sorted(RUNTIMES[name]))
        raise NoSupportingRuntimeError(path, name, f"it serves {formats}, not {choice.format}; or leave it out")
