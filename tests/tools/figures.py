"""Names of figures that a worker's `/metrics` has only once there are Tracks."""

from __future__ import annotations

from livereactor.runtime.outputs import audio as outputs_audio
from livereactor.runtime.outputs import video as outputs_video


def figures_of_outputs() -> set[str]:
    """What is counted by Track."""
    names = {*outputs_video._Counters.__slots__, *outputs_audio._Counters.__slots__}
    return {f"livereactor_output_{name}_total" for name in names}
