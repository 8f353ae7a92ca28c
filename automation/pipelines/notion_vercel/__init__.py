"""Job type `notion_vercel`: a page of Notion becomes a website that a model writes and Vercel serves."""

import re
import time
from http import HTTPStatus
from typing import Any

from automation import conf
from automation.clients import Notion, ServiceError, Vercel, web
from automation.engine import Run
from automation.errors import Failure
from automation.pipelines.notion_vercel.checks import INDEX, complaints, title_of
from automation.pipelines.notion_vercel.markdown import markdown, title
from automation.pipelines.notion_vercel.payload import Payload
from automation.pipelines.notion_vercel.writing import storable, write_code, write_plan
from automation.registry import Pipeline
from observability.http import Deployment

MAX_PAGE = 200_000  # characters that a model is asked to read
MAX_BODY = 100_000  # bytes of the deployed page that are looked at
MAX_COMPLAINTS = 5  # that the step's error names
FIRST_LOOK, SLOWEST_LOOK = 0.2, 5.0  # seconds between two looks at a deployment, half as many more each time
ASKED = "asked"  # noted until there is an id
ENDS = {"READY", "ERROR", "CANCELED"}
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")

pipeline = Pipeline("notion_vercel", payload=Payload)


@pipeline.step(retries=2, backoff=2)
def fetch_page(run: Run) -> dict[str, str]:
    """Return title and text of the page, the text in Markdown."""
    with Notion(run.sleep) as notion:
        page, blocks = notion.page(run.payload.page), notion.blocks(run.payload.page)
    try:
        name, text = storable(title(page)), storable(markdown(blocks))
    except (AttributeError, KeyError, IndexError, TypeError):
        raise Failure("The page from Notion is not of the documented shape.", retriable=True) from None
    if len(text) > MAX_PAGE:
        raise Failure(f"The page has {len(text):,} characters; {MAX_PAGE:,} are allowed.")
    return {"title": name, "text": text}


@pipeline.step(retries=2, backoff=2)
def plan(run: Run) -> str:
    """Return what the model plans to write."""
    return write_plan(run, _page(run))


@pipeline.step(retries=2, backoff=2)
def generate_code(run: Run) -> dict[str, str]:
    """Return the files that the model wrote: contents by paths."""
    return write_code(run, _page(run), run.output("plan"))


@pipeline.step()
def review(run: Run) -> None:
    """Fail where a file has no business in a website, or is wrong."""
    found = complaints(run.output("generate_code"))
    if found:
        more = f" And {len(found) - MAX_COMPLAINTS} more." if len(found) > MAX_COMPLAINTS else ""
        raise Failure(" ".join(found[:MAX_COMPLAINTS]) + more)


@pipeline.step(retries=2, backoff=2)
def deploy(run: Run) -> dict[str, str]:
    """Return id and host of the deployment, once it is ready; a job that is taken up again makes no second one."""
    seen: list[Deployment] = []
    with Vercel(run.sleep, seen.append) as vercel:
        if run.noted == ASKED:
            raise Failure("A deployment was asked for, and may have been made: look at Vercel first.")
        deployment = _create(run, vercel) if run.noted is None else vercel.deployment(run.noted)
        deployment = _wait_for(run, vercel, deployment)
    for ended in seen[-1:]:
        run.once_recorded(ended.count)
    if deployment["readyState"] != "READY":
        why = storable(str(deployment.get("errorMessage") or ""))
        raise Failure(f"The deployment {deployment['id']} ended as {deployment['readyState']}. {why}".rstrip())
    return {"id": deployment["id"], "host": _host(deployment)}


@pipeline.step(retries=3, backoff=1)
def verify(run: Run) -> str:
    """Return the address where the website answers with the page that was deployed."""
    address = conf.deployment_address().format(host=run.output("deploy")["host"])
    status, body = web.get(address, keep=MAX_BODY, headers=_pass())
    if status != HTTPStatus.OK:
        # what is ready may take a moment to be everywhere
        soon = status == HTTPStatus.NOT_FOUND or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        raise Failure(f"{address} answers HTTP {status}.", retriable=soon)
    seen, expected = title_of(body.decode(errors="replace")), title_of(run.output("generate_code")[INDEX])
    if seen != expected:
        raise Failure(f"{address} shows another page: its title is {seen[:100]!r}, not {expected[:100]!r}.")
    return address


@pipeline.result
def result(run: Run) -> dict[str, Any]:
    return {
        "address": run.output("verify"),
        "deployment": run.output("deploy")["id"],
        "title": run.output("fetch_page")["title"],
        "files": sorted(run.output("generate_code")),
    }


def _page(run: Run) -> str:
    page = run.output("fetch_page")
    return f"# {page['title']}\n\n{page['text']}"


def _pass() -> dict[str, str]:
    """Return what opens a deployment that Vercel shows to its team only."""
    secret = conf.vercel_bypass()
    return {"x-vercel-protection-bypass": secret} if secret else {}


def _create(run: Run, vercel: Vercel) -> dict[str, Any]:
    """Return a new deployment. That it is asked for is noted before: nobody asks again where that may make a second."""
    files = {path: content.encode() for path, content in run.output("generate_code").items()}
    run.note(ASKED)
    try:
        deployment = vercel.create_deployment(run.payload.project, files, _target(run))
    except ServiceError as error:
        if error.without_effect:
            run.note(None)
        raise
    run.note(deployment["id"])
    return deployment


def _target(run: Run) -> str | None:
    """Vercel makes a preview of what has no target."""
    return "production" if run.payload.target == "production" else None


def _wait_for(run: Run, vercel: Vercel, deployment: dict[str, Any]) -> dict[str, Any]:
    """Return the deployment when it has ended."""
    deadline, wait = time.monotonic() + conf.deploy_timeout(), FIRST_LOOK
    while deployment["readyState"] not in ENDS:
        if time.monotonic() > deadline:
            raise Failure(f"The deployment {deployment['id']} did not end within {conf.deploy_timeout():g} seconds.")
        run.sleep(wait)
        wait = min(SLOWEST_LOOK, wait * 1.5)
        deployment = vercel.deployment(deployment["id"])
    return deployment


def _host(deployment: dict[str, Any]) -> str:
    """Return the host to look at: the first alias, or else its own; only one below the domain of the settings."""
    aliases = deployment.get("alias")
    hosts = [*(aliases if isinstance(aliases, list) else []), deployment["url"]]
    end = f".{conf.deployment_domain()}"
    for host in map(str, hosts):
        if HOST.fullmatch(host) and host.endswith(end):
            return host
    raise Failure(f"The deployment {deployment['id']} has no address below {conf.deployment_domain()}.")
