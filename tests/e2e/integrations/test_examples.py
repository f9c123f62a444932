"""Every example of a client runs as it is, against the model it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import nbclient
import nbformat
import numpy as np
import pytest
from gradio_client import Client

from tests.e2e.integrations.conftest import Serve
from tests.tools.processes import REPOSITORY, Program, background, free_port

CLIENTS = REPOSITORY / "examples/clients"
POND = "examples/pond.py"


def said(name: str, server: Program, *arguments: str | Path) -> str:
    """What an example prints; it must end well."""
    done = subprocess.run(
        [sys.executable, str(CLIENTS / name), *map(str, arguments)],
        env={**os.environ, "LIVEREACTOR_LOCAL_URL": server.url},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["watch.py", "watch_sync.py"])
def test_the_shortest_clients_see_thirty_frames(name: str, serve: Serve) -> None:
    reply, frames = said(name, serve(POND)).splitlines()
    assert "'dropped'" in reply
    assert frames == "30 frames of 640x360"


def test_a_film_is_kept(serve: Serve, tmp_path: Path) -> None:
    film = tmp_path / "pond.mp4"
    told = re.fullmatch(r"(\d+) frames in .*\n", said("film_it.py", serve(POND), film))
    assert told is not None
    with av.open(str(film)) as container:
        assert len(list(container.decode(video=0))) == int(told[1]) >= 10


def test_opencv_finds_edges(serve: Serve, tmp_path: Path) -> None:
    picture = tmp_path / "edges.png"
    assert "% edges" in said("edges.py", serve(POND), picture)
    edges = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    assert edges is not None
    assert edges.shape == (360, 640)
    assert set(np.unique(edges)) == {0, 255}


def test_tensors_take_frames_over_dlpack(serve: Serve) -> None:
    assert "8 tensors of (180, 320, 3), " in said("tensors.py", serve(POND))


def test_the_notebook_runs_as_it_is(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEREACTOR_LOCAL_URL", serve(POND).url)
    book = nbformat.read(CLIENTS / "pond.ipynb", as_version=4)
    nbclient.NotebookClient(book, timeout=90, kernel_name="python3").execute()
    (result,) = book.cells[3].outputs
    assert result["data"]["text/plain"].startswith("((360, 640, 3), dtype('uint8'), ")


@contextmanager
def gradio(server: Program, log_path: Path) -> Iterator[Program]:
    port = free_port()
    environment = {
        "LIVEREACTOR_LOCAL_URL": server.url,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "GRADIO_TEMP_DIR": str(log_path.parent / "gradio"),
    }
    command = [sys.executable, str(CLIENTS / "gradio_app.py")]
    url = f"http://127.0.0.1:{port}"
    with background(command, url=url, log_path=log_path, environment=environment, directory=REPOSITORY) as program:
        program.wait_until(lambda: "Running on local URL" in program.log(), timeout=90.0)
        yield program


def test_the_page_of_gradio_shows_and_steers(serve: Serve, tmp_path: Path) -> None:
    with gradio(serve(POND), tmp_path / "log") as program:
        client = Client(program.url, verbose=False, download_files=str(tmp_path / "files"))
        job = client.submit(api_name="/pictures")
        first = next(iter(job))
        job.cancel()
        client.predict(0.9, api_name="/rain")
    picture = cv2.imread(str(first), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (360, 640, 3)
