"""How much the measuring client itself distorts the gaps between tokens.

A server in a process of its own streams to many clients at once and writes into every event the
instant at which it sent it (both processes read the same monotonic clock). The collector's client
takes the streams as in a campaign: answers kept by its thread, a metrics page of an engine's usual
size scraped beside. Distortion is the gap between two events as the client stamped them, less the
gap between their sendings; what the server does late is no distortion.

    python -m benchmarks.measure_client --streams 200 --rate 50 --seconds 10
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.lab.measure.answers import RawAnswer, events
from dcsim.lab.measure.campaign import Campaign
from dcsim.lab.measure.client import Player
from dcsim.lab.measure.clock import ClockWatch, MeasuringClock
from dcsim.lab.measure.endpoint import Asker
from dcsim.lab.measure.engine import find_engine
from dcsim.lab.measure.folder import AnswerBook
from dcsim.lab.measure.plan import make_plan
from dcsim.lab.measure.sampler import MeterSampler
from dcsim.lab.measure.scrape import Page
from dcsim.lab.measure.steady import steady

MODEL = "benchmark"
PAGE_LINES = 1500
"""Of a metrics page of vLLM's, its histograms included."""


# --- the server's process ----------------------------------------------------------------------


class Stream(asyncio.Protocol):
    """One connection: answers a page of metrics, or streams as many tokens as it is asked for."""

    period_s = 0.02
    phase = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._out, self._got = transport, b""
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line[:15] == b"content-length:"), 0)
        if len(body) < length:
            return
        self._got = b""
        if head.startswith(b"GET"):
            page = _page()
            self._out.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page))
            return
        self._left = int(json.loads(body)["max_tokens"])
        self._out.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        # Streams are spread over the period, as those of requests that came at other moments are.
        Stream.phase += 1
        spread = (Stream.phase * 0.618034) % 1.0
        self._due_s = self._loop.time() + self.period_s * (1.0 + spread)
        self._loop.call_at(self._due_s, self._token)

    def _token(self) -> None:
        if self._out.is_closing():
            return
        self._left -= 1
        reason = b"null" if self._left else b'"length"'
        event = (
            b'data: {"choices":[{"index":0,"text":" token","logprobs":null,"finish_reason":%s}],'
            b'"sent":%.6f}\n\n' % (reason, time.monotonic())
        )
        self._out.write(b"%x\r\n%s\r\n" % (len(event), event))
        if not self._left:
            self._out.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
            return
        self._due_s += self.period_s
        self._loop.call_at(self._due_s, self._token)


def _page() -> bytes:
    values = {
        "num_requests_running": 1,
        "num_requests_waiting": 0,
        "kv_cache_usage_perc": 0.1,
        "prompt_tokens_total": 5,
        "generation_tokens_total": 5,
    }
    lines = [f'vllm:{name}{{engine="0"}} {value}' for name, value in values.items()]
    lines += [
        f'vllm:request_time_per_output_token_seconds_bucket{{engine="0",le="{i}"}} {i}.0'
        for i in range(PAGE_LINES)
    ]
    lines.append('vllm:cache_config_info{block_size="16",num_gpu_blocks="30000"} 1.0')
    return "\n".join(lines).encode() + b"\n"


def serve(port: Connection, rate: float) -> None:
    """Until the other end closes."""

    async def main() -> None:
        Stream.period_s = 1.0 / rate
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Stream, "127.0.0.1", 0, backlog=4096)
        port.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, port.poll, None)

    asyncio.run(main())


# --- the client's process ----------------------------------------------------------------------


def measure(streams: int, rate: float, seconds: float, port: int) -> dict[str, float]:
    """Figures in ms, over all streams and gaps."""
    tokens = max(2, round(rate * seconds))
    campaign = Campaign.model_validate(
        {
            "name": "benchmark",
            "endpoint": f"http://127.0.0.1:{port}",
            "model": MODEL,
            "parts": [
                {
                    "name": "all",
                    "kind": "steps",
                    "batch": streams,
                    "tokens": {"kind": "fixed", "prompt": 128, "output": tokens},
                    "period": f"{seconds + 1} s",
                    "count": 1,
                    "before": "1 s",
                    "after": "0 s",
                }
            ],
        }
    )
    (part,) = make_plan(campaign)
    clock = MeasuringClock()
    watch = ClockWatch(clock)
    asker = Asker(campaign)
    rng = np.random.default_rng(1)
    bodies = [asker.body(ask, {}, rng) for ask in part.asks]
    kept: list[RawAnswer] = []
    engine = find_engine(Page(f"{campaign.endpoint}/metrics"))
    assert engine is not None
    with tempfile.TemporaryDirectory() as folder:
        book = AnswerBook(Path(folder), watch)

        def keep(raw: RawAnswer) -> None:
            kept.append(raw)
            book.keep(raw)

        player = Player(asker, part, bodies, keep, clock)
        scraper = MeterSampler("metrics", 0.25, engine.read, lambda at_s, row: None, watch)
        beat = MeterSampler(
            "clock", 0.1, clock.monotonic, lambda at_s, row: None, watch, watches=True
        )
        before_s = time.process_time()
        for thread in (book, scraper, beat):
            thread.start()
        with steady():
            asyncio.run(player.play())
        busy_s = time.process_time() - before_s
        for sampler in (scraper, beat):
            sampler.finish()
        book.finish()
    off = np.concatenate([_distortion(raw) for raw in kept])
    late_ms = np.concatenate([_stamps(raw) @ np.array([1e3, -1e3]) for raw in kept])
    answered = sum(answer.ok for answer in book.answers)
    asked_s = player.edges["answered"] - player.edges["begin"]
    p50, p99, p999 = np.percentile(np.abs(off), [50, 99, 99.9]).tolist()
    return {
        "streams": streams,
        "answered": answered,
        "tokens_per_s_and_stream": float(np.median([_rate(raw) for raw in kept])),
        "gaps": len(off),
        "distortion_p50_ms": p50,
        "distortion_p99_ms": p99,
        "distortion_p999_ms": p999,
        "distortion_max_ms": float(np.abs(off).max()),
        "delay_p50_ms": float(np.percentile(late_ms, 50)),
        "delay_p99_ms": float(np.percentile(late_ms, 99)),
        "client_cpu_share": busy_s / (asked_s + part.before_s),
        "loop_late_p99_ms": player.pulse.to_dict()["late_p99_ms"],
    }


def _stamps(raw: RawAnswer) -> FloatArray:
    """Received and sent, monotonic seconds, shape (events, 2)."""
    rows = [
        (at_s, json.loads(event)["sent"]) for at_s, event in events(raw.pieces) if event[:1] == b"{"
    ]
    return np.array(rows)


def _rate(raw: RawAnswer) -> float:
    """Tokens a second as they came."""
    at_s = _stamps(raw)[:, 0]
    return (len(at_s) - 1) / float(at_s[-1] - at_s[0])


def _distortion(raw: RawAnswer) -> FloatArray:
    gaps = np.diff(_stamps(raw), axis=0)
    off: FloatArray = 1e3 * (gaps[:, 0] - gaps[:, 1])
    return off


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50.0, help="tokens a second and stream")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3, help="the median of each figure counts")
    wanted = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, wanted.rate))
    server.start()
    try:
        port = ours.recv()
        rounds = [
            measure(wanted.streams, wanted.rate, wanted.seconds, port) for _ in range(wanted.rounds)
        ]
    finally:
        ours.send(None)
        server.join(10)
        if server.is_alive():
            server.kill()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} over the last minute")
    print(f"{'':26} {'median':>10}  rounds")
    for name in rounds[0]:
        values = [figures[name] for figures in rounds]
        told = "  ".join(f"{value:.3f}" for value in values)
        print(f"{name:26} {float(np.median(values)):10.3f}  {told}")


if __name__ == "__main__":
    main()
