"""Find what an archive's handler is, function or class, and make it ready: as TorchServe does when a worker starts."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from predictor.runtimes.mar import modules
from predictor.runtimes.mar.base_handler import BaseHandler
from predictor.runtimes.mar.context import Context
from predictor.runtimes.mar.image_classifier import ImageClassifier
from predictor.runtimes.mar.manifest import Manifest
from predictor.runtimes.mar.toolbox import list_classes_from_module
from torpor.errors import LoadError, TorporError

log = logging.getLogger(__name__)

Handle = Callable[[Sequence[Any] | None, Context], Any]
BUILT_IN: dict[str, type[BaseHandler]] = {"base_handler": BaseHandler, "image_classifier": ImageClassifier}
ELSEWHERE = frozenset(
    {"dali_image_classifier", "image_segmenter", "object_detector", "text_classifier", "text_handler"}
    | {"trt_llm_handler", "vision_handler", "vllm_handler"}
)
"""Handlers that TorchServe brings along, and we do not."""
_SENDS = b"send_intermediate_predict_response"


class Entry:
    """A handler that is ready."""

    sends_parts: bool = False
    """Whether its code knows how to send an answer bit by bit."""

    def __init__(self, call: Handle, owner: Any = None) -> None:
        """`owner` is the object of which `call` is a method, where it is one."""
        self.call = call
        self.owner = owner

    @property
    def is_built_in(self) -> bool:
        return type(self.owner) in BUILT_IN.values()

    @property
    def explains(self) -> bool:
        """Whether it may know how: a function may look at the header `explain`, and so may a `handle` of one's own."""
        if callable(getattr(self.owner, "get_insights", None)):
            return True
        return type(self.owner).handle is not BaseHandler.handle if self.owner is not None else True


def open_(folder: Path, manifest: Manifest, context: Context) -> Entry:
    """Import and initialize the handler; raises LoadError with the words of the user's code.

    The folder comes first on the path of modules from now on; `close` takes it away.
    """
    modules.register()
    _forget_others(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        with _told(manifest):
            found = _made(folder, manifest, context)
            found.sends_parts = any(_SENDS in each.read_bytes() for each in folder.rglob("*.py"))
            return found
    except BaseException:
        close(folder)
        raise


def close(folder: Path) -> None:
    """Forget the folder and the modules that came from it."""
    with contextlib.suppress(ValueError):
        sys.path.remove(str(folder))
    for name in [name for name, module in list(sys.modules.items()) if _is_from(module, folder)]:
        del sys.modules[name]
    _folders.discard(folder)


_folders: set[Path] = set()
"""Of the archives that are open."""


def _made(folder: Path, manifest: Manifest, context: Context) -> Entry:
    _folders.add(folder)
    name = manifest.module
    if not (folder / f"{name}.py").is_file():
        return _built_in(manifest, context)
    module = _import(name, folder / f"{name}.py")
    if manifest.attribute and not hasattr(module, manifest.attribute):
        raise LoadError("open", f"handler {manifest.handler}: {name}.py has no {manifest.attribute}")
    found = getattr(module, manifest.attribute or "handle", None)
    if isinstance(found, type):
        return _of_class(found, context)
    if callable(found):
        found(None, context)  # how TorchServe tells a function to initialize itself
        return Entry(found)
    return _of_class(_only_class(name, module), context)


def _built_in(manifest: Manifest, context: Context) -> Entry:
    kind = BUILT_IN.get(manifest.handler)
    if kind is not None:
        return _of_class(kind, context)
    served = ", ".join(BUILT_IN)
    if manifest.handler in ELSEWHERE:
        raise LoadError(
            "open", f"handler {manifest.handler} of TorchServe is not offered; of its own, {served} are, and yours"
        )
    raise LoadError(
        "open", f"handler {manifest.handler}: there is no {manifest.module}.py in the archive, nor is it {served}"
    )


def _only_class(name: str, module: ModuleType) -> type:
    classes = list_classes_from_module(module)
    found = [each for each in classes if callable(getattr(each, "handle", None))]
    if len(found) != 1:
        names = ", ".join(each.__name__ for each in found or classes) or "none"
        raise LoadError(
            "open",
            f"{name}.py needs a function `handle(data, context)`, or one class that has it; its classes are: {names}."
            f" Of several, the handler {name}:Class names one",
        )
    return found[0]


def _of_class(kind: type, context: Context) -> Entry:
    handle = getattr(kind, "handle", None)
    if not callable(handle):
        raise LoadError("open", f"class {kind.__name__} has no method `handle(data, context)`")
    instance: Any = kind()
    initialize = getattr(instance, "initialize", None)
    if callable(initialize):
        initialize(context)
    return Entry(instance.handle, instance)


def _import(name: str, path: Path) -> ModuleType:
    """Import a file under its name, so that pickle and the archive's other files find it."""
    if name in sys.modules or name in sys.stdlib_module_names:
        raise LoadError("open", f"the handler is called {path.name}, and {name} is another module here: rename it")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101  # it ends with .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _forget_others(folder: Path) -> None:
    """Let modules of other archives be imported anew where this one has some of the same name: all are `handler.py`.

    What those have imported, they keep.
    """
    ours = {each.stem if each.suffix == ".py" else each.name for each in folder.iterdir()}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ours and any(_is_from(module, each) for each in _folders):
            del sys.modules[name]


def _is_from(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.startswith(f"{folder}/")


@contextlib.contextmanager
def _told(manifest: Manifest) -> Iterator[None]:
    """Tell what the user's code raises as it is, and of a module that is missing how to come by it."""
    try:
        yield
    except TorporError:
        raise
    except ModuleNotFoundError as error:
        name = error.name or str(error)
        advice = "; pip install 'torpor[torch]'" if name in {"torch", "PIL"} else ""
        asked = (
            f"; {manifest.requirements_file} of the archive is not installed by itself"
            if (manifest.requirements_file)
            else ""
        )
        message = f"handler {manifest.handler} needs the module {name}, which is not installed here{advice}{asked}"
        raise LoadError("open", message) from error
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # `sys.exit()` in it must not end the server unheard
        log.exception("handler %s failed", manifest.handler)
        raise LoadError("open", f"handler {manifest.handler}: {type(error).__name__}: {error}") from error
