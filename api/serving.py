"""`allot serve`: the service, as long as the command runs."""

from typing import Annotated

import typer

from api.options import HOME, Home


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default 127.0.0.1, this machine only.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; default 8000, 0 for one that is free.")] = None,
    workers: Annotated[int | None, typer.Option(help="Web processes; more than one needs PostgreSQL.")] = None,
    workspace: Home = HOME,
) -> None:
    """Serve allocations, decisions, feedback and everything else over HTTP until Ctrl-C.

    Make a key first: `allot keys create --role admin`. Settings are environment variables, `ALLOT_PORT` for example;
    an option wins over its variable. docs/service.md lists them.
    """
    from api.service.serve import serve as use_case

    use_case(workspace, host=host, port=port, workers=workers)
