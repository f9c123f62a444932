"""A model's schema, printed by a process that imports the model and nothing that this does not need.

`python -m livereactor.runtime.execution.schema_file TARGET` prints what `livereactor schema` does, in half its time: a
coordinator reads every model that it serves before it listens.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final, TextIO

from livereactor.base.errors import LivereactorError
from livereactor.protocol.openapi import to_openapi
from livereactor.runtime.authoring.definition import definition_of
from livereactor.runtime.execution.loading import load_model

REFUSED: Final = "livereactor: "  # before the sentence that says why there is no schema


def openapi_of(target: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a model; raises what `load_model` raises. No weights are loaded."""
    return to_openapi(definition_of(load_model(target)).schema)


def own_stdout() -> TextIO:
    """Ours alone: from here on all else that this process prints goes to stderr, what a model's module prints too."""
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def _main(target: str) -> int:
    answer = own_stdout()
    try:
        document = openapi_of(target)
    except LivereactorError as error:
        sys.stderr.write(f"{REFUSED}{error.message}\n")
        return 1
    answer.write(json.dumps(document, ensure_ascii=False))
    answer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
