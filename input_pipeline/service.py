"""Makes training pairs for trainings on other machines, or in other processes: a tf.data service.

python -m input_pipeline.service --port=5050 [--host=NAME]

It runs until it is stopped, and serves any number of trainings: `train_main.py --data_service=grpc://NAME:5050`. The
shards must be at the same paths as where the training is, and TensorFlow of the same version. It lets whoever reaches
its ports, PORT and the next one, read files and run TensorFlow: open them to machines that you trust, and no others.
"""

import socket
import threading
from typing import Any

from absl import flags

from dense_labels import command_line, progress


def main(port: int, host: str) -> None:
    """Starts a dispatcher and its one worker, and waits."""
    _check_free(port)

    import tensorflow as tf  # after the flags are known to be right, for this is slow

    from input_pipeline.views import warps

    tf.config.set_visible_devices([], "GPU")  # they are the training's; before TensorFlow first runs anything
    warps.register_operations()
    servers = _start(tf.data.experimental.service, port, host)  # held, for they end when nobody holds them
    progress.note("it listens at all addresses of this machine, whatever --host says, and asks nobody who they are")
    progress.say(f"ready: --data_service=grpc://{host}:{servers[0].target.rpartition(':')[2]}")
    threading.Event().wait()


def _check_free(port: int) -> None:
    """Refuses ports that something else listens at, of which gRPC would say more than anybody reads."""
    for each in (port, port + 1) if port else ():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC does
            try:
                probe.bind(("", each))
            except OSError as error:
                raise ValueError(f"--port={port}: {each} is not free ({error.strerror.lower()})") from error


def _start(service: Any, port: int, host: str) -> tuple[Any, Any]:
    """The dispatcher and its worker, running."""
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=port))
    address = dispatcher.target.partition("://")[2]
    own = service.WorkerConfig(dispatcher_address=address, worker_address=f"{host}:%port%", port=port and port + 1)
    return dispatcher, service.WorkerServer(own)


def console() -> None:
    """Defines the flags and runs."""
    port = flags.DEFINE_integer(
        "port",
        5050,
        "Port of the service; its worker has the next one. 0: free ones.",
        lower_bound=0,
        upper_bound=65534,
    )
    host = flags.DEFINE_string(
        "host", "localhost", "Name or address at which trainings reach this machine; it listens at all."
    )
    command_line.run(lambda: main(port.value, host.value))


if __name__ == "__main__":
    console()
