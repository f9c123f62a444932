"""A Gradio page around a live model: `pip install gradio`, `livereactor run examples/pond.py`."""

from collections.abc import Iterator

import gradio as gr
import numpy as np

import livereactor as lr

reactor = lr.SyncReactor("pond", local=True)  # one session for all viewers; for one each, create it in `pictures`
reactor.connect()


def pictures() -> Iterator[np.ndarray]:
    """Yield the newest frame; Gradio asks for the next one when the page has shown the last."""
    yield from reactor.track("main_video").frames()


def rain(amount: float) -> None:
    reactor.send_command("set_rain", {"rain": amount})


def touch(event: gr.SelectData) -> None:
    height, width = reactor.track("main_video").read().shape[:2]
    reactor.send_command("drop", {"x": event.index[0] / width, "y": event.index[1] / height})


with gr.Blocks(title="pond", delete_cache=(60, 60)) as page:  # Gradio stores each picture as a file for a while
    picture = gr.Image(label="Touch the water", format="jpeg", interactive=False)
    amount = gr.Slider(0, 1, 0.2, label="Rain")
    amount.input(rain, amount, api_name="rain")
    picture.select(touch)
    page.load(pictures, outputs=picture, api_name="pictures")

if __name__ == "__main__":
    page.launch()
