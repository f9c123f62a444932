"""The shortest client: open a session, send a command, receive frames. `livereactor run examples/pond.py`"""

import asyncio

import livereactor as lr


async def main() -> None:
    async with lr.Reactor("pond", local=True) as reactor:
        reply = await reactor.send_command("drop", {"x": 0.5, "y": 0.5})
        print(reply)
        seen = 0
        async for frame in reactor.track("main_video").frames():  # uint8, shape (height, width, 3), RGB
            seen += 1
            if seen == 30:
                print(f"{seen} frames of {frame.shape[1]}x{frame.shape[0]}")
                break


asyncio.run(main())
