"""A page of Gradio's around a live model: `pip install gradio`, `livereactor run examples/pond.py`."""

from collections.abc import Iterator

import gradio as gr
import numpy as np

import livereactor as lr

reactor = lr.SyncReactor("pond", local=True)  # one session for all who look; one each: make it in `pictures`
reactor.connect()


def pictures() -> Iterator[np.ndarray]:
    """Always the newest frame; Gradio asks for the next when the page has the last."""
    yield from reactor.track("main_video").frames()


def rain(amount: float) -> None:
    reactor.send_command("set_rain", {"rain": amount})


def touch(event: gr.SelectData) -> None:
    height, width = reactor.track("main_video").read().shape[:2]
    reactor.send_command("drop", {"x": event.index[0] / width, "y": event.index[1] / height})


with gr.Blocks(title="pond", delete_cache=(60, 60)) as page:  # each picture is a file of Gradio's for a while
    picture = gr.Image(label="Touch the water", format="jpeg", interactive=False)
    amount = gr.Slider(0, 1, 0.2, label="Rain")
    amount.input(rain, amount, api_name="rain")
    picture.select(touch)
    page.load(pictures, outputs=picture, api_name="pictures")

if __name__ == "__main__":
    page.launch()
