"""A small inference server that speaks the protocol: continuous batching on a schedule of its own,
with vLLM's metrics page, and with faults where a test asks for them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MODEL = "Qwen/Qwen3-8B"
BASE_S, EACH_S, PROMPT_S = 0.040, 0.001, 1 / 8000
"""An iteration: what any takes, each running request, each prompt token."""
IDLE_W, BUSY_W, EACH_W = 80.0, 180.0, 10.0
BLOCKS = 30_000


def watts(running: int) -> float:
    return IDLE_W if not running else BUSY_W + EACH_W * running


@dataclass
class Job:
    prompt: int
    output: int
    given: int = 0
    tokens: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    gone: bool = False


@dataclass
class Engine:
    """Runs in a thread. `fault(n)` names what befalls the n-th request, from 0:

    `429`, `500`, `drop` (the connection ends after three tokens), `stall` (as before, but it stays
    open), `garbage`, `error` (an error within the stream), `short` (two tokens less than asked).
    """

    rate: float = 1.0
    """At which its time passes."""
    power: Callable[[float], None] = lambda watts: None
    fault: Callable[[int], str] = lambda number: ""
    accepts: tuple[str, ...] = ("ignore_eos", "min_tokens", "stream_options")
    null_block: bool = True
    metrics: bool = True
    key: str = ""
    max_seqs: int = 256
    foreign: int = 0
    """Requests of somebody else's that it works on."""

    def __post_init__(self) -> None:
        self.prompt_total = self.generation_total = self.iterations = self.asked = 0
        self.most_running = 0
        self.running: list[Job] = []
        self.waiting: deque[Job] = deque()
        self.bodies: list[dict[str, Any]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Engine:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- the schedule ------------------------------------------------------------------------

    async def _iterate(self) -> None:
        at_s = time.monotonic()
        while True:
            if not self.running and not self.waiting:
                self.power(watts(0))
                self._work.clear()
                await self._work.wait()
                at_s = time.monotonic()
            prompt = 0
            while self.waiting and len(self.running) < self.max_seqs:
                job = self.waiting.popleft()
                prompt += job.prompt
                self.running.append(job)
            self.power(watts(len(self.running)))
            self.most_running = max(self.most_running, len(self.running))
            took_s = BASE_S + EACH_S * len(self.running) + PROMPT_S * prompt
            at_s = max(at_s + took_s / self.rate, time.monotonic() - 0.05)
            await asyncio.sleep(max(at_s - time.monotonic(), 0))
            self.running = [job for job in self.running if not job.gone]
            self.iterations += 1
            self.prompt_total += prompt
            self.generation_total += len(self.running)
            for job in self.running:
                job.given += 1
                job.tokens.put_nowait(job.given)
            self.running = [job for job in self.running if job.given < job.output]

    # --- the pages ---------------------------------------------------------------------------

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        number = self.asked
        self.asked += 1
        said = await request.json()
        self.bodies.append(said)
        unknown = {"ignore_eos", "min_tokens", "stream_options"} & set(said) - set(self.accepts)
        if unknown:
            return _refused(400, f"unknown argument: {', '.join(sorted(unknown))}")
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _refused(401, "wrong key")
        if said["model"] != MODEL:
            return _refused(404, f"The model `{said['model']}` does not exist.")
        fault = self.fault(number)
        if fault in ("429", "500"):
            return _refused(int(fault), "too busy" if fault == "429" else "internal error")
        chat = "messages" in said
        text = said["messages"][0]["content"] if chat else said["prompt"]
        prompt = len(text.split()) if isinstance(text, str) else len(text)
        job = Job(prompt, said["max_tokens"] - (2 if fault == "short" else 0))
        self.waiting.append(job)
        self._work.set()
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        try:
            await self._tokens(request, answer, job, fault, chat)
        finally:
            job.gone = True
        usage = {"prompt_tokens": job.prompt, "completion_tokens": job.given}
        if said.get("stream_options", {}).get("include_usage"):
            await answer.write(_event({"choices": [], "usage": usage}))
        await answer.write(b"data: [DONE]\n\n")
        return answer

    async def _tokens(
        self, request: web.Request, answer: web.StreamResponse, job: Job, fault: str, chat: bool
    ) -> None:
        if chat:
            await answer.write(_event({"choices": [{"delta": {"role": "assistant"}}]}))
        while True:
            given = await job.tokens.get()
            last = given >= job.output
            reason = "length" if last else None
            if chat:
                choice: dict[str, Any] = {"delta": {"content": " tok"}, "finish_reason": reason}
            else:
                choice = {"text": " tok", "finish_reason": reason}
            await answer.write(_event({"choices": [choice]}))
            if given == 3 and fault == "drop":
                assert request.transport is not None
                request.transport.abort()
            if given == 3 and fault == "stall":
                job.gone = True
                await asyncio.sleep(3600)
            if given == 3 and fault == "garbage":
                await answer.write(b"data: {not json\n\n")
            if given == 3 and fault == "error":
                await answer.write(_event({"error": {"message": "out of memory"}}))
            if last:
                return

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": MODEL, "max_model_len": 32768}]})

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.10.1-standin"})

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self.metrics:
            return web.Response(status=404)
        blocks = int(self.null_block) + sum(-(-(j.prompt + j.given) // 16) for j in self.running)
        label = f'{{engine="0",model_name="{MODEL}"}}'
        values = {
            "num_requests_running": len(self.running) + self.foreign,
            "num_requests_waiting": len(self.waiting),
            "kv_cache_usage_perc": blocks / BLOCKS,
            "prompt_tokens_total": self.prompt_total,
            "generation_tokens_total": self.generation_total,
            "iteration_tokens_total_count": self.iterations,
        }
        lines = [f"vllm:{name}{label} {value}" for name, value in values.items()]
        lines.append(f'vllm:cache_config_info{{block_size="16",num_gpu_blocks="{BLOCKS}"}} 1.0')
        return web.Response(text="# HELP x y\n" + "\n".join(lines) + "\n")

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end, self._work = asyncio.Event(), asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/version", self._version)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        loop = asyncio.create_task(self._iterate())
        self._ready.set()
        await self._end.wait()
        loop.cancel()
        await runner.cleanup()


def _event(said: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def _refused(status: int, why: str) -> web.Response:
    return web.json_response({"error": {"message": why}}, status=status)
