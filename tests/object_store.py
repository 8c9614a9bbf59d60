"""An S3 store on this machine for the tests: moto's server, found by the environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from needs import needs

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def s3_server() -> Iterator[str]:
    """Give the URI of an empty bucket; child processes find it as well."""
    needs("s3fs")
    server_of = needs("moto.server")
    import fsspec

    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        bucket = f"songs-{uuid4().hex}"  # moto remembers those of earlier servers
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
        try:
            yield f"s3://{bucket}"
        finally:
            fsspec.get_filesystem_class("s3").clear_instance_cache()
            server.stop()
