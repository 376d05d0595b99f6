"""One web process: `python -m api.service.web FD`, started by the supervisor with a socket that listens already."""

import gc
import socket
import sys

from allot import AllotError
from api.service import logs
from api.service.app import create_app
from api.service.lifeline import end_with_parent
from api.service.protocol import server_of
from api.service.settings import read_settings

_GRACE_SECONDS = 20
_COLLECT_AFTER = 50_000  # objects; by default the collector would look every 700


def main() -> None:
    """Serve on the socket given until told to end; what is under way is answered first."""
    try:
        settings = read_settings()
        logs.configure(settings.log_level)
        app = create_app(settings)
    except AllotError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    end_with_parent()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    listener = socket.socket(fileno=int(sys.argv[1]))
    server_of(app, patience=_GRACE_SECONDS).run([listener])


if __name__ == "__main__":
    main()
