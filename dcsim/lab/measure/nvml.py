"""GPUs through NVML: watts, clocks, use, temperature and limits. Nothing is ever set."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dcsim.errors import MeasureError, MissingExtraError
from dcsim.extras import optional
from dcsim.lab.measure.errors import MeterLostError, SampleError

POWER_INSTANT = 186
"""NVML's field of watts without averaging (nvml.h, NVML_FI_DEV_POWER_INSTANT); since driver 530."""

COLUMNS = (
    "power_w",
    "instant_w",
    "energy_j",
    "sm_mhz",
    "memory_mhz",
    "gpu_percent",
    "memory_percent",
    "temperature_c",
    "limit_w",
    "throttle",
)
"""Of one GPU's reading. `power_w` is what nvidia-smi shows as power.draw, on an H100 the mean of a
second; `energy_j` counts from the driver's start; `throttle` is NVML's bit mask of reasons."""

GpuReading = dict[str, float]


@dataclass(frozen=True)
class GpuFacts:
    """What does not change while a part runs."""

    index: int
    name: str
    uuid: str
    limit_w: float | None
    default_limit_w: float | None
    memory_bytes: int | None

    @property
    def hardware(self) -> str:
        """The short name of the catalogue: `NVIDIA A100-SXM4-80GB` is an `A100`."""
        match = re.search(r"\b([A-Z]{1,2}\d{1,3}[A-Z]?)\b", self.name)
        return match[1] if match else self.name


class Nvml:
    """The GPUs of some indices, open for reading."""

    def __init__(self, indices: Sequence[int]) -> None:
        """Raises MeasureError where there is no NVML or no such GPU."""
        try:
            pynvml = optional("pynvml", "NVML")
        except MissingExtraError as error:
            raise MeasureError(str(error)) from None
        self._nvml: Any = pynvml
        self._open = False
        try:
            pynvml.nvmlInit()
            self._open = True
            count = pynvml.nvmlDeviceGetCount()
            beyond = [index for index in indices if index >= count]
            if beyond:
                has = f"{count} GPU{'s' if count != 1 else ''}, numbered from 0"
                raise MeasureError(f"there is no GPU {beyond[0]}: this machine has {has}")
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in indices]
            self.driver = str(pynvml.nvmlSystemGetDriverVersion())
        except pynvml.NVMLError as error:
            self.close()
            raise MeasureError(f"NVML cannot be used: {error}") from None
        except MeasureError:
            self.close()
            raise
        self.facts = [self._facts(i, h) for i, h in zip(indices, self._handles, strict=True)]
        self._missing: set[str] = set()
        self._never = (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)

    def read(self) -> list[GpuReading]:
        """One reading a GPU; what a GPU does not tell is absent.

        Raises MeterLostError when a GPU is gone, SampleError when its watts cannot be read this
        time.
        """
        return [self._reading(handle) for handle in self._handles]

    def close(self) -> None:
        if self._open:
            self._open = False
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def _reading(self, handle: Any) -> GpuReading:
        nvml = self._nvml
        reading = {"power_w": self._watts(handle)}
        for name, ask in self._others(handle):
            if name in self._missing:
                continue
            try:
                reading |= ask()
            except nvml.NVMLError as error:
                if error.value in self._never:
                    self._missing.add(name)
        return reading

    def _watts(self, handle: Any) -> float:
        nvml = self._nvml
        try:
            return float(nvml.nvmlDeviceGetPowerUsage(handle)) / 1e3
        except nvml.NVMLError as error:
            gone = (
                nvml.NVML_ERROR_GPU_IS_LOST,
                nvml.NVML_ERROR_NOT_FOUND,
                nvml.NVML_ERROR_UNINITIALIZED,
                nvml.NVML_ERROR_NOT_SUPPORTED,
            )
            if error.value in gone:
                raise MeterLostError(f"the GPU's watts cannot be read any more: {error}") from None
            raise SampleError(f"watts: {error}") from None

    def _others(self, handle: Any) -> list[tuple[str, Callable[[], GpuReading]]]:
        nvml = self._nvml

        def use() -> GpuReading:
            rates = nvml.nvmlDeviceGetUtilizationRates(handle)
            return {"gpu_percent": float(rates.gpu), "memory_percent": float(rates.memory)}

        def instant() -> GpuReading:
            (value,) = nvml.nvmlDeviceGetFieldValues(handle, [POWER_INSTANT])
            if value.nvmlReturn != nvml.NVML_SUCCESS:
                raise nvml.NVMLError(value.nvmlReturn)
            return {"instant_w": value.value.uiVal / 1e3}

        def field_reader(
            name: str, call: Callable[..., float], *more: Any, scale: float = 1.0
        ) -> Any:
            return name, lambda: {name: call(handle, *more) * scale}

        return [
            ("instant_w", instant),
            field_reader("energy_j", nvml.nvmlDeviceGetTotalEnergyConsumption, scale=1e-3),
            field_reader("sm_mhz", nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
            field_reader("memory_mhz", nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_MEM),
            ("use", use),
            field_reader("temperature_c", nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            field_reader("limit_w", nvml.nvmlDeviceGetEnforcedPowerLimit, scale=1e-3),
            field_reader("throttle", nvml.nvmlDeviceGetCurrentClocksThrottleReasons),
        ]

    def _facts(self, index: int, handle: Any) -> GpuFacts:
        nvml = self._nvml

        def ask_gpu(call: Callable[[Any], Any]) -> Any:
            try:
                return call(handle)
            except nvml.NVMLError:
                return None

        limit, default = (
            ask_gpu(nvml.nvmlDeviceGetEnforcedPowerLimit),
            ask_gpu(nvml.nvmlDeviceGetPowerManagementDefaultLimit),
        )
        memory = ask_gpu(nvml.nvmlDeviceGetMemoryInfo)
        return GpuFacts(
            index=index,
            name=str(ask_gpu(nvml.nvmlDeviceGetName) or "unknown"),
            uuid=str(ask_gpu(nvml.nvmlDeviceGetUUID) or "unknown"),
            limit_w=None if limit is None else limit / 1e3,
            default_limit_w=None if default is None else default / 1e3,
            memory_bytes=None if memory is None else int(memory.total),
        )
