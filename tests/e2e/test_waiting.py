"""A real model that takes seconds to load: who waits is told, who cannot hears so, who only asks does not wake it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.laptop import Laptop, wait_for
from tests.support.manifests import inference_service
from tests.support.models import save_python_model

pytestmark = pytest.mark.e2e

NAME = "sleeper"
PREDICT = f"/v1/models/{NAME}:predict"
LOAD_S = 4.0


@pytest.mark.timeout(240)
def test_the_wait_for_a_model_that_loads_slowly(laptop: Laptop, tmp_path: Path) -> None:
    """One model through four sleeps."""
    model = save_python_model(tmp_path / "model")
    annotations = {"torpor.dev/answer-while-asleep": "health,metadata"}
    laptop.apply(
        inference_service(
            NAME, "python", f"file://{model}", env={"LOAD_SECONDS": f"{LOAD_S:g}"}, annotations=annotations
        )
    )
    laptop.wait_ready("isvc", NAME)
    with laptop.client(NAME) as http:
        metadata = http.get(f"/v2/models/{NAME}").json()

        # Asleep, it is asked how it is, and sleeps on.
        laptop.wait_zero(f"{NAME}-predictor")
        assert http.get("/v2/health/live").json() == {"live": True}
        ready = http.get(f"/v2/models/{NAME}/ready")
        assert (ready.status_code, ready.headers["Torpor-State"]) == (503, "asleep")
        asked = http.get(f"/v2/models/{NAME}")
        assert (asked.json(), asked.headers["Torpor-State"]) == (metadata, "asleep")
        assert laptop.replicas(f"serving.knative.dev/service={NAME}-predictor") == 0

        # A client of events is told how far it is. This model knows no events, so its answer is told as an error.
        body = {"instances": [1]}
        with http.stream("POST", PREDICT, json=body, headers={"Accept": "text/event-stream"}) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            lines = list(stream.iter_lines())
        assert ": torpor stage=open" in lines
        assert any(line.startswith(": torpor cold-start queue=") for line in lines)
        assert "NoEventStream" in lines[lines.index("event: error") + 1]

        # Too few starts were measured to send anybody away: a client waits for its second, and finds it awake later.
        laptop.wait_zero(f"{NAME}-predictor")
        hurried = {"Torpor-Deadline": "1"}
        began = time.monotonic()
        refused = http.post(PREDICT, json=body, headers=hurried)
        assert 1 <= time.monotonic() - began < 2
        assert (refused.status_code, refused.json()["reason"]) == (504, "DeadlineExceeded")
        wait_for(lambda: http.post(PREDICT, json=body, headers=hurried).status_code == 200, 60, "it woke all the same")

        # And who comes back for the answer does not wait at all.
        laptop.wait_zero(f"{NAME}-predictor")
        accepted = http.post(PREDICT, json=body, headers={"Prefer": "respond-async"})
        assert accepted.status_code == 202
        place = accepted.headers["Location"]
        wait_for(lambda: http.get(place).headers["Torpor-Async"] == "done", 60, "the answer is there")
        answer = http.get(place)
        assert (answer.status_code, answer.json()) == (200, {"predictions": [2]})
        assert "load=" in answer.headers["Torpor-Cold-Start"]
    laptop.torpor("delete", "isvc", NAME, "--wait")
