"""Public traces that scenarios can replay, and where their publishers keep them."""

from __future__ import annotations

from dataclasses import dataclass

AZURE_2023 = "https://raw.githubusercontent.com/Azure/AzurePublicDataset/master/data"
AZURE_2024 = "https://azurepublicdatasettraces.blob.core.windows.net/azurellminfererencetrace"
BURSTGPT = "https://github.com/HPMLL/BurstGPT/releases/download/v1.1"
MOONCAKE = "https://raw.githubusercontent.com/kvcache-ai/Mooncake/main/FAST25-release/traces"


@dataclass(frozen=True, slots=True)
class Trace:
    """One file."""

    name: str
    title: str
    url: str
    file: str
    """Name under `arrivals/` of the data folder: what the shipped scenarios look for."""
    format: str
    """`format` of a replay."""
    licence: str
    rows: int | None = None
    """Requests in it; None: not known here."""
    pinned_sha256: str | None = None
    """What the publisher's file must be; None: not pinned, so the first fetch is recorded and
    later ones are held against it."""
    seen_sha256: str | None = None
    """Of the copy that dcsim's fits and figures were made from. Not a pin: that copy is not known
    to be the publisher's byte for byte, so a difference is told and no more."""


TRACES = (
    Trace(
        "azure-2023-conv",
        "Azure LLM inference trace 2023, conversations: one hour of a production service",
        f"{AZURE_2023}/AzureLLMInferenceTrace_conv.csv",
        "azure_llm_2023_conv.csv",
        "azure-2023",
        "CC-BY 4.0",
        rows=19_366,
        seen_sha256="2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8",
    ),
    Trace(
        "azure-2023-code",
        "Azure LLM inference trace 2023, code completion: one hour of a production service",
        f"{AZURE_2023}/AzureLLMInferenceTrace_code.csv",
        "azure_llm_2023_code.csv",
        "azure-2023",
        "CC-BY 4.0",
        rows=8_819,
        seen_sha256="54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6",
    ),
    Trace(
        "azure-2024-conv",
        "Azure LLM inference trace 2024, conversations: one week (some 1 GB)",
        f"{AZURE_2024}/AzureLLMInferenceTrace_conv_1week.csv",
        "azure_llm_2024_conv.csv",
        "azure-2024",
        "CC-BY 4.0",
    ),
    Trace(
        "azure-2024-code",
        "Azure LLM inference trace 2024, code completion: one week (some 1 GB)",
        f"{AZURE_2024}/AzureLLMInferenceTrace_code_1week.csv",
        "azure_llm_2024_code.csv",
        "azure-2024",
        "CC-BY 4.0",
    ),
    Trace(
        "burstgpt",
        "BurstGPT: ChatGPT and GPT-4 requests of a campus, two months",
        f"{BURSTGPT}/BurstGPT_1.csv",
        "burstgpt_1.csv",
        "burstgpt",
        "CC-BY 4.0",
    ),
    Trace(
        "mooncake-conversation",
        "Mooncake (FAST'25), conversations: requests with the hashes of their prompt blocks",
        f"{MOONCAKE}/conversation_trace.jsonl",
        "mooncake_conversation.jsonl",
        "mooncake",
        "Apache-2.0",
        rows=12_031,
        seen_sha256="b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df",
    ),
    Trace(
        "mooncake-toolagent",
        "Mooncake (FAST'25), tools and agents: requests with the hashes of their prompt blocks",
        f"{MOONCAKE}/toolagent_trace.jsonl",
        "mooncake_toolagent.jsonl",
        "mooncake",
        "Apache-2.0",
    ),
)
"""In the order in which they are listed."""


def by_name() -> dict[str, Trace]:
    """The traces by name."""
    return {trace.name: trace for trace in TRACES}
