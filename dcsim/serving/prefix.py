"""The prefix cache: KV blocks kept after use, for prompts that begin alike.

As in vLLM V1: blocks that no running request refers to stay until their memory is wanted, least
recently used first and a text's tail before its head. Blocks are kept by whole segments of text
(see `Prefix`) rather than one by one; a segment may lose blocks from its tail.
"""

# compiled by mypyc
from __future__ import annotations

from collections import OrderedDict

from dcsim.workload.stream import Segments


class Entry:
    """A segment's blocks."""

    __slots__ = ("blocks", "users")

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.users = 0
        """Running requests that refer to it."""


class PrefixCache:
    """What one replica remembers. The owner sees to it that used and free blocks together never
    exceed its memory, by `evict`."""

    __slots__ = ("_block", "_entries", "_free", "free_blocks", "used")

    def __init__(self, block_tokens: int) -> None:
        self._block = block_tokens
        self._entries: dict[int, Entry] = {}
        self._free: OrderedDict[int, Entry] = OrderedDict()
        """Entries without users, least recently used first."""
        self.used = 0
        """Blocks of entries with users."""
        self.free_blocks = 0
        """Blocks of entries without users."""

    def find(self, segments: Segments, prompt_tokens: int) -> tuple[int, list[int], int]:
        """What stands here of a prompt, in whole blocks from its start: (tokens that need no
        prefill, ids to take, blocks among them that nobody uses so far).

        At least one token is left to compute, since the first answer comes from it.
        """
        block = self._block
        most = (prompt_tokens - 1) // block
        blocks = offset = unused = 0
        cached_ids: list[int] = []
        for id_, tokens in segments:
            entry = self._entries.get(id_)
            if entry is None or blocks >= most:
                break
            whole = (offset + tokens) // block - offset // block
            cached_ids.append(id_)
            if entry.users == 0:
                unused += entry.blocks
            blocks += entry.blocks if entry.blocks < whole else whole
            if entry.blocks < whole:
                break
            offset += tokens
        return (blocks if blocks < most else most) * block, cached_ids, unused

    def take(self, ids: list[int]) -> None:
        """Refer to entries, which then stay."""
        for id_ in ids:
            entry = self._entries[id_]
            if entry.users == 0:
                del self._free[id_]
                self.free_blocks -= entry.blocks
                self.used += entry.blocks
            entry.users += 1

    def give_back(self, ids: list[int]) -> None:
        """Refer to them no longer; the last is the first to go."""
        for id_ in reversed(ids):
            entry = self._entries[id_]
            entry.users -= 1
            if entry.users == 0:
                self._free[id_] = entry
                self.free_blocks += entry.blocks
                self.used -= entry.blocks

    def fill(self, segments: Segments, taken: list[int]) -> int:
        """All of the segments have been computed: keep and take those not taken yet.

        Extends `taken`; returns the blocks of the whole chain.
        """
        block = self._block
        offset = 0
        for place, (id_, tokens) in enumerate(segments):
            whole = (offset + tokens) // block - offset // block
            offset += tokens
            if place >= len(taken):
                if id_ not in self._entries:
                    self._entries[id_] = self._free[id_] = Entry(0)
                self.take([id_])
                taken.append(id_)
            entry = self._entries[id_]
            if entry.blocks < whole:
                self.used += whole - entry.blocks
                entry.blocks = whole
        return offset // block

    def leave(self, id_: int, blocks: int) -> None:
        """Keep the blocks of a request that has ended, under an id that nobody refers to."""
        if blocks > 0 and id_ not in self._entries:
            entry = self._entries[id_] = self._free[id_] = Entry(blocks)
            self.free_blocks += entry.blocks

    def evict(self, blocks: int) -> None:
        """Forget so many blocks of entries without users."""
        while blocks > 0 and self._free:
            id_, entry = next(iter(self._free.items()))
            gone = entry.blocks if entry.blocks < blocks else blocks
            entry.blocks -= gone
            blocks -= gone
            self.free_blocks -= gone
            if entry.blocks == 0:
                del self._free[id_]
                del self._entries[id_]

    def clear(self) -> None:
        """Power was lost."""
        self._entries.clear()
        self._free.clear()
        self.used = self.free_blocks = 0
