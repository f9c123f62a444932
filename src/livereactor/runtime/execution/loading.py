"""Loading of a model's class from `pond.py`, `pond.py:Pond` or a folder, and errors with the author's file and line."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType

from livereactor.base.errors import DefinitionError, ModelLoadError
from livereactor.runtime.authoring.model import Model

DEFAULT_FILES = ("model.py", "main.py")


def load_model(target: str) -> type[Model]:
    """Import a model's file and find its class.

    Args:
        target: a file, a folder with `model.py` or its own name in it, or either with `:ClassName` behind it.

    Raises:
        ModelLoadError: no such file, a mistake in it, or not exactly one model to choose; says what to do.
    """
    path, name = _split(target)
    module = _imported(_file(path, target))
    return _chosen(module, path, name)


def model_file(target: str) -> Path:
    """The file that `load_model(target)` imports.

    Raises:
        ModelLoadError: there is none.
    """
    path, _ = _split(target)
    return _file(path, target)


def _split(target: str) -> tuple[Path, str | None]:
    head, colon, name = target.rpartition(":")
    # A drive letter has a colon too: C:\models\pond.py.
    if colon and name.isidentifier() and len(head) > 1:
        return Path(head), name
    return Path(target), None


def _file(path: Path, target: str) -> Path:
    if path.is_dir():
        known = (*DEFAULT_FILES, f"{path.resolve().name}.py")
        found = [path / name for name in known if (path / name).is_file()]
        files = found or sorted(path.glob("*.py"))
        if len(files) == 1 or found:
            return files[0].resolve()
        names = ", ".join(each.name for each in files[:8]) or "no Python file"
        raise ModelLoadError(f"{target}: no model.py in this folder (it has {names}); name the file")
    if path.is_file():
        return path.resolve()
    if path.suffix != ".py" and path.with_suffix(".py").is_file():
        raise ModelLoadError(f"no file {str(path)!r}; did you mean {path.with_suffix('.py')}?")
    raise ModelLoadError(f"no file {str(path)!r} in {Path.cwd().name}/; give the path of the model's file")


def _imported(file: Path) -> ModuleType:
    # The name is the file's own: classes of it can then be pickled and read in tracebacks.
    name = file.stem if file.stem.isidentifier() and file.stem not in sys.stdlib_module_names else f"model_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ModelLoadError(f"{file.name} is not a Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    before, sys.modules[name] = sys.modules.get(name), module
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))  # as `python pond.py` does: the model imports what lies next to it
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if before is not None:
            sys.modules[name] = before
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ModelLoadError(_reason(error, file)) from error
    return module


def _reason(error: BaseException, file: Path) -> str:
    place = line_in(file, error) or file.name
    match error:
        case DefinitionError():
            return error.message if f"{file.name}:" in error.message else f"{error.message} ({place})"
        case SyntaxError():
            where = f"{Path(error.filename or file).name}:{error.lineno}"
            line = (error.text or "").strip()
            return f"{where}: {error.msg}" + (f" in `{line}`" if line else "") + "; correct the line"
        case ModuleNotFoundError() if error.name:
            package = error.name.partition(".")[0]
            return f"{place}: there is no module {error.name!r}; install {package} or correct the import"
        case ValueError() if _is_raised_here(error):  # about an argument, such as fps=0; its text says what to do
            return f"{place}: {error}"
        case _:
            return f"{place}: {summary(error)}; the file must import without an error"


def _is_raised_here(error: BaseException) -> bool:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).startswith("livereactor.")


def _chosen(module: ModuleType, path: Path, name: str | None) -> type[Model]:
    models = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Model) and value.__module__ == module.__name__
    }
    if name is not None:
        if name not in models:
            raise ModelLoadError(f"{path.name} has no model {name!r}; it has {', '.join(models) or 'none'}")
        return models[name]
    served = {key: value for key, value in models.items() if hasattr(value, "stream")}
    if len(served) == 1:
        return next(iter(served.values()))
    if served:
        choices = " or ".join(f"{path}:{key}" for key in served)
        raise ModelLoadError(f"{path.name} has several models; name one: {choices}")
    if models:
        first = next(iter(models))
        raise ModelLoadError(f"{path.name}: {first} has no stream; write `def stream(self):` with a yield in it")
    raise ModelLoadError(f"{path.name} has no model; write `class Name(lr.Model):` in it")


def summary(error: BaseException) -> str:
    """Return the exception's type and the first line of its text."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def described(error: BaseException, model: type) -> str:
    """Return an author's exception in one line, with the deepest line of the model's own file."""
    line = _line_of(error, model)
    return f"{summary(error)} ({line})" if line else summary(error)


def stopped(error: BaseException, model: type) -> str:
    """Return a sentence that says where the author's code failed.

    The exception's text is left out: it may quote a user's prompt, and everyone who asks for `/health` sees this.
    """
    line = _line_of(error, model)
    at = f" at {line}" if line else ""
    return f"the model stopped with an error{at}; its log has the traceback"


def line_in(file: str | Path, error: BaseException) -> str:
    """Return the deepest line of `file` in the traceback, such as `pond.py:12`; empty where it has none."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{Path(file).name}:{lines[-1]}" if lines else ""


def _line_of(error: BaseException, model: type) -> str:
    try:
        return line_in(inspect.getfile(model), error)
    except (TypeError, OSError):
        return ""
