"""Small drawings of what stands in a one-line diagram, as SVG paths in a square of 16 units."""

from __future__ import annotations

SYMBOLS: dict[str, str] = {
    "site": "M1 15V6L8 1L15 6V15ZM6 15V10H10V15",
    "utility": "M8 1A7 7 0 1 0 8.01 1ZM4 8C5.5 4.5 7 4.5 8 8S10.5 11.5 12 8",
    "transformer": "M8 1A4.4 4.4 0 1 0 8.01 1ZM8 6.2A4.4 4.4 0 1 0 8.01 6.2Z",
    "switchgear": "M1 1H15V15H1ZM8 1V5M8 11V15M8 11L11.5 5.5",
    "ups": "M1 1H15V15H1ZM1 15L15 1M3.5 5H7M9 11.5C10 9.5 11 13 12.5 10.5",
    "pdu": "M1 1H15V15H1ZM4 5H12M4 8H12M4 11H12",
    "rpp": "M2 1H14V15H2ZM5 5H8M5 8H8M5 11H8M10.5 5H11.5M10.5 8H11.5M10.5 11H11.5",
    "busway": "M1 4H15M1 7H15M4 7V13M8 7V13M12 7V13",
    "row": "M1 4H15M3.5 4V9M8 4V9M12.5 4V9M1.5 9H5.5V14H1.5ZM6 9H10V14H6ZM10.5 9H14.5V14H10.5Z",
    "rack": "M3 1H13V15H3ZM3 4.5H13M3 8H13M3 11.5H13",
    "rack-pdu": "M5 1H11V15H5ZM8 3.4V4.6M8 7.4V8.6M8 11.4V12.6",
    "branch": "M8 1V5M8 11V15M8 11L11.5 5.5",
    "server": "M1 5H15V11H1ZM11 8H13M3 8H7",
}
BATTERY = "M1 3H12V11H1ZM12 5.5H14V8.5H12ZM4 5V9M7 5V9"
"""In a box of 15 by 14."""
