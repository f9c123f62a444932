"""Every limit with its default and its reason; listed at `GET /limits` and by `livereactor limits`."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what a caller may cost, by who pays. Seconds, bytes and counts.

    docs/limits.md says what happens past each.
    """

    # one message
    message_bytes: int = 256 * KIB  # the plain data channel's limit towards browsers; steps may carry more
    viewer_message_bytes: int = 16 * KIB  # from those who may only watch: verbs, pings and statistics
    chunked_message_bytes: int = 64 * MIB  # where both ends chunk; stepped sessions carry frames
    json_nodes: int = 10_000  # values of one message or HTTP body: each costs fifty times its bytes in memory
    frame_tag_bytes: int = 1 * KIB  # user data of one frame, carried in its last packet
    # one connection of a session
    message_rate: float = 200.0  # messages a second, 20 seconds' worth at once, 2 by a share link: a mouse sends 120
    message_rate_bytes: float = 2_000_000.0  # bytes a second, likewise
    viewer_message_rate: float = 20.0  # messages a second of a viewer, 5 seconds' worth at once: a ping every 5 s
    viewer_message_rate_bytes: float = 64.0 * KIB  # bytes a second of a viewer, 5 seconds' worth at once
    data_channels: int = 16  # opened in the life of a connection, closed ones too; clients open two, once
    pause_rate: float = 10.0  # pauses and resumes a second, 4 seconds' worth at once; each may cost a key frame
    media_sections: int = 16  # of an offer, or one for each track of the model and one more; browsers make one a track
    candidates_per_connection: int = 256  # trickled candidates, per connection
    held_messages: int = 64  # messages kept for a connection whose wire format is not known yet
    format_silence: float = 1.0  # after this much silence a connection is taken for a listening v0 client
    client_silence: float = 20.0  # official clients ping every 5 or 10 s, so two pings may be lost
    offer_to_live: float = 30.0  # an offer whose peer never comes up frees its slot
    video_pixels: int = 4096 * 2304  # of a frame of received video: 4K cameras; 16383x16383 has few bytes on the wire
    input_frames: int = 128  # frames an input track keeps for the model
    # one share link
    link_connections: int = 2  # of them for one share link; the settings make it two below max_connections
    # one session
    max_connections: int = 4  # connections in one session; each costs a send, not an encode (configurable to 64)
    session_sockets: int = 16  # media transports, those that are closing too; the settings make it four per connection
    minted_ids: int = 128  # connection ids kept for one caller: it may have the same again, and no more of the 5,000
    waiting_connections: int = 128  # connections with candidates but no offer yet; who has many makes room
    moderation_questions: int = 4  # to a moderator at once; one session must not take the places of the others
    command_queue: int = 4096  # commands waiting for the model's step; the sender is refused past it
    output_queue: int = 2  # frames between the model and the encoder, never less than one chunk
    upload_bytes: int = 100 * MIB  # one file
    upload_session_bytes: int = 500 * MIB  # all files of a session
    upload_slots: int = 256  # files of a session, the unwritten ones too: metadata is memory as well
    upload_url_lifetime: float = 900.0  # a slow uplink writes 100 MiB in 15 minutes at 1 Mbit/s
    upload_wait: float = 10.0  # a command whose bytes are still on their way
    image_pixels: int = 40_000_000  # of an uploaded picture: a camera makes 12 to 33 million; each costs 4 to 12 bytes
    steps: int = 10_000  # steps of a bounded session
    max_session_duration: float = 1200.0  # a session nobody ends still frees its worker; 0 = unlimited
    time_warning: float = 30.0  # before a session's longest duration ends it: time to finish a sentence; 0 = no warning
    reconnection_window: float = 30.0  # a laptop lid closed and opened again keeps its session
    unclaimed_window: float = 60.0  # a session whose client never came
    # one address
    address_sockets: int = 128  # of one address (IPv6: one /64), known proxies aside: 50 people behind one NAT
    # one HTTP request
    header_bytes: int = 64 * KIB  # request line and header; servers and proxies take 8 to 32 KiB
    header_wait: float = 10.0  # seconds for a whole header, from the first byte, or from the connection's beginning
    idle_wait: float = 5.0  # seconds that a connection may be silent between two requests
    write_wait: float = 30.0  # seconds that an answer may wait without one byte of it being taken: a tunnel, a lift
    pipelined_requests: int = 16  # of one connection without a whole answer: browsers and official clients send one
    json_body_bytes: int = 64 * KIB  # HTTP bodies that are neither an upload nor signalling: most have 200 bytes
    body_bytes: int = 1 * MIB  # HTTP bodies of signalling: an SDP has some 20 KiB, and coordinators pass it on
    answer_hold: float = 25.0  # a held GET or start_session; official clients waited 25 s without complaint
    # the service
    exit_timeout: float = 10.0  # everything that ends does so within this, whatever the model does
