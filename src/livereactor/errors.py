"""Every error of livereactor: what a server raises and answers with, and, below `ReactorError`, what a client raises.

Where both have a name, it is the server's here, and catches the client's too.
"""

from livereactor.base.errors import (
    CommandError as CommandError,
)
from livereactor.base.errors import (
    ConfigError as ConfigError,
)
from livereactor.base.errors import (
    ConflictError as ConflictError,
)
from livereactor.base.errors import (
    DefinitionError as DefinitionError,
)
from livereactor.base.errors import (
    EmissionError as EmissionError,
)
from livereactor.base.errors import (
    EngineError as EngineError,
)
from livereactor.base.errors import (
    ForbiddenError as ForbiddenError,
)
from livereactor.base.errors import (
    IllegalTransitionError as IllegalTransitionError,
)
from livereactor.base.errors import (
    InvalidCommandError as InvalidCommandError,
)
from livereactor.base.errors import (
    LimitError as LimitError,
)
from livereactor.base.errors import (
    LivereactorError as LivereactorError,
)
from livereactor.base.errors import (
    ModelLoadError as ModelLoadError,
)
from livereactor.base.errors import (
    NotFoundError as NotFoundError,
)
from livereactor.base.errors import (
    PeerError as PeerError,
)
from livereactor.base.errors import (
    QuotaError as QuotaError,
)
from livereactor.base.errors import (
    TooLargeError as TooLargeError,
)
from livereactor.base.errors import (
    UnauthorizedError as UnauthorizedError,
)
from livereactor.base.errors import (
    UnavailableError as UnavailableError,
)
from livereactor.base.errors import (
    UnresolvedUploadError as UnresolvedUploadError,
)
from livereactor.base.errors import (
    UsageError as UsageError,
)
from livereactor.client.errors import (
    AbortedError as AbortedError,
)
from livereactor.client.errors import (
    AuthError as AuthError,
)
from livereactor.client.errors import (
    BadRequestError as BadRequestError,
)
from livereactor.client.errors import (
    ChunkFetchFailedError as ChunkFetchFailedError,
)
from livereactor.client.errors import (
    ClipGoneError as ClipGoneError,
)
from livereactor.client.errors import (
    ClipNotReadyError as ClipNotReadyError,
)
from livereactor.client.errors import (
    CommandFailedError as CommandFailedError,
)
from livereactor.client.errors import (
    CommandRejected as CommandRejected,
)
from livereactor.client.errors import (
    ConnectionFailedError as ConnectionFailedError,
)
from livereactor.client.errors import (
    DecodeFailedError as DecodeFailedError,
)
from livereactor.client.errors import (
    DeviceError as DeviceError,
)
from livereactor.client.errors import (
    DisconnectedError as DisconnectedError,
)
from livereactor.client.errors import (
    DownloadUnsupportedError as DownloadUnsupportedError,
)
from livereactor.client.errors import (
    GenerationModeMismatchError as GenerationModeMismatchError,
)
from livereactor.client.errors import (
    GpuConnectionError as GpuConnectionError,
)
from livereactor.client.errors import (
    InternalError as InternalError,
)
from livereactor.client.errors import (
    InvalidDurationError as InvalidDurationError,
)
from livereactor.client.errors import (
    InvalidPlaylistError as InvalidPlaylistError,
)
from livereactor.client.errors import (
    InvalidStateError as InvalidStateError,
)
from livereactor.client.errors import (
    MessageSendFailedError as MessageSendFailedError,
)
from livereactor.client.errors import (
    MessageTooLargeError as MessageTooLargeError,
)
from livereactor.client.errors import (
    ModelLoadingError as ModelLoadingError,
)
from livereactor.client.errors import (
    NetworkError as NetworkError,
)
from livereactor.client.errors import (
    NoCapacityError as NoCapacityError,
)
from livereactor.client.errors import (
    NoMediaYetError as NoMediaYetError,
)
from livereactor.client.errors import (
    NotReadyError as NotReadyError,
)
from livereactor.client.errors import (
    NotSupportedError as NotSupportedError,
)
from livereactor.client.errors import (
    PlaylistFetchFailedError as PlaylistFetchFailedError,
)
from livereactor.client.errors import (
    RateLimitedError as RateLimitedError,
)
from livereactor.client.errors import (
    ReactorError as ReactorError,
)
from livereactor.client.errors import (
    ReconnectionFailedError as ReconnectionFailedError,
)
from livereactor.client.errors import (
    RecorderDisabledError as RecorderDisabledError,
)
from livereactor.client.errors import (
    RecordingError as RecordingError,
)
from livereactor.client.errors import (
    RequestTimeoutError as RequestTimeoutError,
)
from livereactor.client.errors import (
    ServerError as ServerError,
)
from livereactor.client.errors import (
    SessionTerminalError as SessionTerminalError,
)
from livereactor.client.errors import (
    StepError as StepError,
)
from livereactor.client.errors import (
    TrackPublishFailedError as TrackPublishFailedError,
)
from livereactor.client.errors import (
    TrackUnpublishFailedError as TrackUnpublishFailedError,
)
from livereactor.client.errors import (
    TransportError as TransportError,
)
from livereactor.client.errors import (
    UploadError as UploadError,
)
from livereactor.client.errors import (
    UploadExpiredError as UploadExpiredError,
)
from livereactor.client.errors import (
    UploadTooLargeError as UploadTooLargeError,
)
from livereactor.client.errors import (
    UploadTypeRefusedError as UploadTypeRefusedError,
)
from livereactor.client.errors import (
    VersionMismatchError as VersionMismatchError,
)
