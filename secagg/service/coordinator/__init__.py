"""The coordinator: sessions in a folder, served over HTTP by a process of its own or in another application."""

from .coordinator import Coordinator
from .limits import Limits

__all__ = ["Coordinator", "Limits"]
