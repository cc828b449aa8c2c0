"""Meters: NVML at its C boundary, metrics pages, and the server's own power."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from dcsim.errors import MeasureError
from dcsim.lab.measure.campaign import IpmiMeter, RedfishMeter
from dcsim.lab.measure.clock import ClockWatch, MeasuringClock
from dcsim.lab.measure.engine import find_engine, null_block_share
from dcsim.lab.measure.errors import MeterLostError, SampleError
from dcsim.lab.measure.meters import dcgm_reader, server_reader
from dcsim.lab.measure.nvml import GpuFacts, Nvml
from dcsim.lab.measure.sampler import MeterSampler
from dcsim.lab.measure.scrape import Page
from dcsim.lab.prometheus import pattern, samples
from tests.lab.measure.gpus import Gpus

# --- NVML ----------------------------------------------------------------------------------------


def test_a_gpu_is_read(gpus: Gpus) -> None:
    gpus.draw(312.5)
    nvml = Nvml([0])
    (reading,) = nvml.read()
    assert reading["power_w"] == 312.5 and reading["instant_w"] == 312.5
    assert (reading["sm_mhz"], reading["memory_mhz"]) == (1410, 1593)
    assert (reading["gpu_percent"], reading["temperature_c"], reading["limit_w"]) == (100, 40, 400)
    assert reading["energy_j"] >= 0
    assert "throttle" not in reading  # the stand-in has no such function
    (facts,) = nvml.facts
    assert (facts.hardware, facts.uuid, facts.limit_w) == ("A100", "GPU-0000", 400.0)
    assert facts.memory_bytes == 80 * 2**30
    nvml.close()


def test_what_a_gpu_does_not_tell_is_absent(gpus: Gpus) -> None:
    gpus.state.has_energy = gpus.state.has_instant = 0
    nvml = Nvml([0])
    assert not {"energy_j", "instant_w"} & set(nvml.read()[0])
    nvml.close()


def test_a_sample_that_fails_is_not_a_gpu_that_is_lost(gpus: Gpus) -> None:
    nvml = Nvml([0])
    gpus.state.flaky[0] = 1
    with pytest.raises(SampleError, match="Unknown Error"):
        nvml.read()
    assert nvml.read()[0]["power_w"] == 80.0
    gpus.state.lost[0] = 1
    with pytest.raises(MeterLostError, match="GPU is lost"):
        nvml.read()
    nvml.close()


def test_no_such_gpu_and_no_driver_are_told(gpus: Gpus) -> None:
    with pytest.raises(MeasureError, match=r"no GPU 3: this machine has 1 GPU, numbered from 0"):
        Nvml([0, 3])
    gpus.state.driver_fails = 1
    with pytest.raises(MeasureError, match="NVML cannot be used: Driver Not Loaded"):
        Nvml([0])


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA B200", "B200"),
        ("Tesla T4", "T4"),
        ("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("NVIDIA L40S", "L40S"),
    ],
)
def test_hardware_is_named_as_in_the_catalogue(name: str, short: str) -> None:
    assert GpuFacts(0, name, "", None, None, None).hardware == short


# --- the thread ----------------------------------------------------------------------------------


class Steps(MeasuringClock):
    """A clock that goes on only when somebody waits or reads."""

    def __init__(self, read_s: float) -> None:
        self.now_s, self.read_s, self.set_s = 100.0, read_s, 0.0

    def monotonic(self) -> float:
        return self.now_s

    def unix(self) -> float:
        return 1e9 + self.now_s + self.set_s

    def real_s(self, seconds: float) -> float:
        self.now_s += seconds
        return 0.0


def test_a_slow_meter_misses_ticks_and_keeps_the_beat() -> None:
    clock = Steps(0.25)
    watch = ClockWatch(clock)
    taken: list[float] = []

    def read() -> int:
        clock.now_s += clock.read_s
        if len(taken) == 9:
            raise MeterLostError("enough")
        return 0

    ends: list[str] = []
    sampler = MeterSampler(
        "slow", 0.1, read, lambda at_s, _: taken.append(at_s - 1e9), watch, lost=ends.append
    )
    sampler.run()
    # A reading of 250 ms spans two further ticks of 100 ms; the third is taken on time.
    assert taken == pytest.approx([100.125 + 0.3 * i for i in range(9)])
    assert (sampler.missed, sampler.taken, ends) == (18, 9, ["slow: enough"])


def test_a_wall_clock_that_is_set_is_noticed_and_stamps_stay() -> None:
    clock = Steps(0.0)
    watch = ClockWatch(clock)
    for moved in (0.0, 0.0001, 2.5, 2.5, 2.4):
        clock.set_s = moved
        clock.now_s += 1.0
        watch.look()
    assert [round(step["step_s"], 3) for step in watch.to_dict()["steps"]] == [2.5, -0.1]
    assert watch.epoch(clock.now_s) == pytest.approx(1e9 + clock.now_s)
    assert watch.to_dict()["drift_s"] == pytest.approx(2.4)


def test_a_meter_may_fail_for_a_while_but_not_for_long() -> None:
    clock = Steps(0.0)

    def read() -> None:
        raise SampleError("not now")

    ends: list[str] = []
    sampler = MeterSampler(
        "m", 1.0, read, lambda *_: None, ClockWatch(clock), lost=ends.append, patience_s=5.0
    )
    sampler.run()
    assert ends == ["m: not now"] and sampler.failed == 7


# --- pages ---------------------------------------------------------------------------------------


@pytest.fixture
def pages() -> Iterator[tuple[str, dict[str, tuple[int, str]]]]:
    """A server of fixed pages: its address, and the pages, to be filled."""
    shown: dict[str, tuple[int, str]] = {}

    class Pages(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, text = shown.get(self.path, (404, "nothing"))
            if self.headers.get("Authorization", "") != shown.get("key", (0, ""))[1]:
                status, text = 401, "who are you"
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", shown
    server.shutdown()
    server.server_close()


VLLM = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting_total{engine="0"} 99
vllm:gpu_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:prompt_tokens_total{engine="0",model_name="m"} 1.0e+03
vllm:generation_tokens_total{engine="0",model_name="m"} 2000
vllm:iteration_tokens_total_count{engine="0",model_name="m"} 400
vllm:cache_config_info{block_size="32",num_gpu_blocks="1000"} 1.0
"""
SGLANG = """sglang:num_running_reqs{tp_rank="0"} 2
sglang:num_queue_reqs{tp_rank="0"} 0
sglang:token_usage{tp_rank="0"} 0.5
sglang:prompt_tokens_total{tp_rank="0"} 7
sglang:generation_tokens_total{tp_rank="0"} 8
sglang:max_total_num_tokens{tp_rank="0"} 5000
"""


def test_engines_are_known_by_their_pages(pages: tuple[str, dict[str, tuple[int, str]]]) -> None:
    url, shown = pages
    shown["/metrics"] = (200, VLLM)
    engine = find_engine(Page(f"{url}/metrics"))
    assert engine is not None and (engine.engine, engine.kv_tokens) == ("vllm", 32_000)
    assert engine.read() == {
        "running": 3.0,
        "waiting": 1.0,
        "kv": 0.25,
        "prompt_total": 1000.0,
        "generation_total": 2000.0,
        "iterations": 400.0,
    }
    # two engines behind one page: work adds up, KV use is the mean
    second = VLLM.replace('engine="0"', 'engine="1"').replace("0.25", "0.75")
    shown["/metrics"] = (200, VLLM + second)
    assert engine.read() | {"iterations": 0} == {
        "running": 6.0,
        "waiting": 2.0,
        "kv": 0.5,
        "prompt_total": 2000.0,
        "generation_total": 4000.0,
        "iterations": 0,
    }
    shown["/metrics"] = (200, "vllm:num_requests_running 1\n")
    with pytest.raises(SampleError, match="no longer there"):
        engine.read()
    shown["/metrics"] = (503, "")
    with pytest.raises(SampleError, match="answered 503"):
        engine.read()
    shown["/metrics"] = (200, SGLANG)
    found = find_engine(Page(f"{url}/metrics"))
    assert found is not None and (found.engine, found.kv_tokens) == ("sglang", 5000)
    assert "iterations" not in found.columns
    shown["/metrics"] = (200, "up 1\n")
    assert find_engine(Page(f"{url}/metrics")) is None
    with pytest.raises(SampleError, match="refused"):
        find_engine(Page("http://127.0.0.1:1/metrics"))


def test_samples_of_a_page_are_those_wanted() -> None:
    page = b'a{x="1",y="q\\"uote}"} 2\nab 3\na NaN\n# a 4\na{x="2"} +Inf\na 5e-1 1700000000\n'
    assert samples(page, pattern(["a"])) == [
        ("a", {"x": "1", "y": 'q\\"uote}'}, 2.0),
        ("a", {}, 0.5),
    ]


def test_an_idle_engine_holds_one_block_of_16_tokens() -> None:
    assert null_block_share(0.0, 32_000) == 16 / 32_000
    assert null_block_share(16 / 32_000, 32_000) == 0.0  # it counts one already
    assert null_block_share(0.0, None) == 0.0


def test_dcgm(pages: tuple[str, dict[str, tuple[int, str]]]) -> None:
    url, shown = pages
    shown["/metrics"] = (
        200,
        'DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1"} 301.5\n'
        'DCGM_FI_PROF_DRAM_ACTIVE{gpu="1"} 0.5\nother 1\n',
    )
    assert dcgm_reader(f"{url}/metrics")() == [
        ("DCGM_FI_DEV_POWER_USAGE", {"gpu": "0", "UUID": "GPU-1"}, 301.5),
        ("DCGM_FI_PROF_DRAM_ACTIVE", {"gpu": "1"}, 0.5),
    ]
    with pytest.raises(MeasureError, match=r"meter\.dcgm: .* answered 404"):
        dcgm_reader(f"{url}/nothing")


def test_redfish(
    pages: tuple[str, dict[str, tuple[int, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, shown = pages
    shown["/power"] = (200, '{"PowerControl": [{"PowerConsumedWatts": 4321}]}')
    shown["/metrics"] = (200, '{"PowerWatts": {"Reading": 1234.5}}')
    shown["/empty"] = (200, "{}")
    for path, watts in (("power", 4321.0), ("metrics", 1234.5)):
        assert server_reader(RedfishMeter(kind="redfish", url=f"{url}/{path}"))() == watts
    with pytest.raises(MeasureError, match="no watts there"):
        server_reader(RedfishMeter(kind="redfish", url=f"{url}/empty"))
    shown["key"] = (0, "Basic bWU6c2VjcmV0")  # me:secret
    spec = RedfishMeter(
        kind="redfish", url=f"{url}/power", user_env="BMC_USER", password_env="BMC_PASSWORD"
    )
    with pytest.raises(MeasureError, match="BMC_USER, BMC_PASSWORD is not set"):
        server_reader(spec)
    monkeypatch.setenv("BMC_USER", "me")
    monkeypatch.setenv("BMC_PASSWORD", "secret")
    assert server_reader(spec)() == 4321.0


def test_ipmi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ipmitool"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeasureError, match="there is no program ipmitool"):
        server_reader(IpmiMeter(kind="ipmi"))
    program.write_text(
        '#!/bin/sh\n[ "$*" = "dcmi power reading" ] || exit 1\n'
        "echo '    Instantaneous power reading:              2380 Watts'\n"
        "echo '    Average power reading over sample period: 2200 Watts'\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert server_reader(IpmiMeter(kind="ipmi"))() == 2380.0
    program.write_text("#!/bin/sh\necho 'Could not open device' >&2\nexit 1\n")
    with pytest.raises(MeasureError, match="ipmitool: Could not open device"):
        server_reader(IpmiMeter(kind="ipmi"))
    assert os.environ["PATH"] == str(tmp_path)
