"""vLLM over several machines, as the one deployment of a Ray Serve application.

KubeRay makes the Ray cluster and watches this application; vLLM itself listens on port 8000 of the head, configured by
the files that `freehold engine prepare` wrote there. Its workers are placed on the cluster by vLLM's Ray executor.
"""

import os
import subprocess
import time
import urllib.error
import urllib.request

from ray import serve

START = '. /run/freehold/engine.env; exec vllm serve --config /run/freehold/engine.yaml "$@"'
HEALTH = "http://127.0.0.1:8000/health"
DRAIN_S = int(os.environ.get("FREEHOLD_SHUTDOWN_TIMEOUT_S", "600"))
OPTIONS = ("--distributed-executor-backend", "ray", "--shutdown-timeout", str(DRAIN_S))
COMMAND = ("sh", "-c", START, "vllm", *OPTIONS)
POLL_S = 2.0


@serve.deployment
class Engine:
    """Starts vLLM, fails with it, and ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(COMMAND)
        while not self._answers():
            if self._process.poll() is not None:
                raise RuntimeError(f"vLLM ended with status {self._process.returncode} while it started; see its log")
            time.sleep(POLL_S)

    def check_health(self) -> None:
        """Serve asks; an exception makes it start the engine again."""
        if self._process.poll() is not None:
            raise RuntimeError(f"vLLM ended with status {self._process.returncode}")
        if not self._answers():
            raise RuntimeError(f"vLLM does not answer {HEALTH}")

    def __del__(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(DRAIN_S)

    async def __call__(self, request: object) -> str:
        """Serve's own port says no more than that the application is there."""
        return "vLLM listens on port 8000\n"

    @staticmethod
    def _answers() -> bool:
        try:
            with urllib.request.urlopen(HEALTH, timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False


app = Engine.bind()
