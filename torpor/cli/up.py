"""`torpor up`: the laptop's cluster in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

PORT = click.IntRange(0, 65535)


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default="~/.torpor",
    show_default=True,
    help="Where everything is kept: objects, volumes, logs, certificates and the kubeconfig.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--http-port", type=PORT, default=8080, show_default=True, help="Where services answer.")
@click.option("--grpc-port", type=PORT, default=8081, show_default=True, help="Where services answer by gRPC.")
@click.option("--api-port", type=PORT, default=6443, show_default=True, help="The Kubernetes API.")
@click.option("--admin-port", type=PORT, default=9090, show_default=True, help="Metrics, for who has the token.")
@click.option(
    "--tls-secret",
    default="",
    metavar="NAMESPACE/NAME",
    help="A Secret of type kubernetes.io/tls: services answer by TLS, with its certificate.",
)
@click.option("--domain", default="localhost", show_default=True, help="Services answer at NAME.NAMESPACE.DOMAIN.")
def up(
    data_dir: Path,
    host: str,
    http_port: int,
    grpc_port: int,
    api_port: int,
    admin_port: int,
    tls_secret: str,
    domain: str,
) -> int:
    """Start the laptop's cluster and keep it running until Ctrl-C.

    It says `torpor is ready` with its addresses; DIR/kubeconfig then is for kubectl and every other client. A port 0
    is any that is free. Ctrl-C lets requests in flight finish, and a second one does not wait for them. What was
    applied is there again after the next start on the same directory.

    \b
    Examples:
      torpor up
      torpor up --data-dir ./state --http-port 8000 --api-port 0
    """  # noqa: D301
    from torpor.local.up import front, settings
    from torpor.local.up.checks import check

    given = settings.Settings(
        data_dir=data_dir.expanduser().absolute(),
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        api_port=api_port,
        admin_port=admin_port,
        domain=settings.domain("--domain", domain),
        tls_secret=settings.secret("--tls-secret", tls_secret),
    )
    return front.run(front.supervisor(check(given).arguments()))
