"""Write the descriptors of the gRPC protocol: what protoc makes of its .proto, without any generated Python."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).parents[2] / "torpor" / "protocol" / "grpc"


def made() -> bytes:
    """Return the FileDescriptorSet, serialised."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.binpb"
        options = (f"-I{FOLDER}", f"--descriptor_set_out={out}", "--include_imports")
        status = protoc.main(["protoc", *options, "inference.proto"])
        if status:
            sys.exit(status)
        return out.read_bytes()


def main() -> int:
    path = FOLDER / "inference.binpb"
    content = made()
    if sys.argv[1:] == ["--verify"]:
        if path.exists() and path.read_bytes() == content:
            return 0
        print(
            f"{path.name} is not what inference.proto and model_config.proto say: run scripts/generate-grpc",
            file=sys.stderr,
        )
        return 1
    path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
